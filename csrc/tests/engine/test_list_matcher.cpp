// Matching by lists against its definition, with the centres given, by equality: any data, on
// every instruction set, whatever the blocks, lengths of list and threads.
#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "gtn_fast/list_matcher.h"
#include "tests/levels_util.h"

namespace gtn::test {
namespace {

// What is done in order: new lists, or turns before `stop` with so many probes.
struct Step {
  const Matrix* centres;  // null: turns
  int64_t stop, probed;
};

// Algorithm 1 among the nearest lists, as list_matcher.h says it.
class Definition {
 public:
  explicit Definition(const Problem& p) : p_(p), d_(p.x.cols), taken_(p.x_by_norm.size()) {
    for (const uint32_t row : p.x_by_norm) x_.push_back(direction(p.x, row, p.x_scale[row]));
  }

  void set_lists(Matrix centres) {
    Team one(1);
    const MatrixView view = centres.view();
    const std::vector<RowScale> scale = row_scales(view, {}, one);
    centres_.clear();
    for (const uint32_t row : norm_order(scale, {}, one)) {
      std::vector<double> centre = direction(view, row, scale[row]);
      if (std::find(centres_.begin(), centres_.end(), centre) == centres_.end())
        centres_.push_back(std::move(centre));
    }
    list_.clear();
    for (const std::vector<double>& x : x_) list_.push_back(by_nearness(x, centres_)[0].second);
  }

  void match_until(int64_t stop, int64_t probed) {
    std::vector<bool> alive(centres_.size(), false);
    for (size_t x = 0; x < x_.size(); ++x)
      if (!taken_[x] && !centres_.empty()) alive[list_[x]] = true;
    for (; static_cast<int64_t>(out.x_row.size()) < stop;) {
      const uint32_t row = p_.y_by_norm[out.x_row.size()];
      choose(direction(p_.y, row, p_.y_scale[row]), alive, probed);
    }
  }

  Assignment out;

 private:
  using Near = std::pair<double, size_t>;

  std::vector<double> direction(const MatrixView& m, uint32_t row, const RowScale& scale) const {
    std::vector<double> v(static_cast<size_t>(d_));
    row_direction(m, row, scale, v.data());
    for (double& each : v) each += 0.0;
    return v;
  }

  std::vector<Near> by_nearness(const std::vector<double>& of,
                                const std::vector<std::vector<double>>& centres) const {
    std::vector<Near> near;
    for (size_t c = 0; c < centres.size(); ++c)
      near.emplace_back(-ordered_dot(of.data(), centres[c].data(), d_), c);
    std::sort(near.begin(), near.end());
    return near;
  }

  void choose(const std::vector<double>& y, const std::vector<bool>& alive, int64_t probed) {
    std::vector<Near> near = by_nearness(y, centres_);
    std::erase_if(near, [&](const Near& each) { return !alive[each.second]; });
    const bool zero = std::all_of(y.begin(), y.end(), [](double v) { return v == 0.0; });
    int64_t best = -1;
    double cosine = 0.0;
    for (size_t wanted = static_cast<size_t>(probed);; wanted *= 2) {
      std::vector<bool> looked_at(centres_.size(), false);
      for (size_t i = 0; i < std::min(wanted, near.size()); ++i) looked_at[near[i].second] = true;
      for (size_t x = 0; x < x_.size(); ++x) {
        if (taken_[x] || !(zero || centres_.empty() || looked_at[list_[x]])) continue;
        const double c = ordered_dot(y.data(), x_[x].data(), d_);
        if (best >= 0 && c <= cosine) continue;
        best = static_cast<int64_t>(x);
        cosine = c;
      }
      if (best >= 0 || wanted >= near.size() || p_.min_cosine != kAnyCosine) break;
    }
    if (best < 0 || cosine < p_.min_cosine) {
      out.x_row.push_back(kNoRow);
      out.cosine.push_back(std::nan(""));
      return;
    }
    taken_[static_cast<size_t>(best)] = true;
    out.x_row.push_back(p_.x_by_norm[static_cast<size_t>(best)]);
    out.cosine.push_back(cosine);
  }

  const Problem& p_;
  const int64_t d_;
  std::vector<std::vector<double>> x_, centres_;  // by rank
  std::vector<bool> taken_;                       // by rank of x
  std::vector<size_t> list_;                      // by rank of x
};

Assignment by_definition(const Problem& p, const std::vector<Step>& steps) {
  Definition definition(p);
  for (const Step& step : steps) {
    if (step.centres)
      definition.set_lists(*step.centres);
    else
      definition.match_until(step.stop, step.probed);
  }
  return definition.out;
}

Assignment by_lists(const Problem& p, const std::vector<Step>& steps, const Options& options) {
  Control control;
  ListMatcher matcher(p.x, p.y, options, &control);
  std::vector<Matrix> centres;
  centres.reserve(steps.size());
  for (const Step& step : steps) {
    if (step.centres) {
      centres.push_back(*step.centres);
      matcher.set_lists(centres.back().view());
    } else {
      matcher.match_until(step.stop, step.probed);
      CHECK(matcher.done() == step.stop);
      CHECK(control.settled.load() == step.stop);
    }
  }
  return matcher.assignment();
}

void check(Matrix& x, Matrix& y, const std::vector<Step>& steps, const std::string& what,
           double min_cosine = kAnyCosine) {
  const LevelKept kept;
  Team one(1);
  Problem p = make_problem(x, y, one);
  p.min_cosine = min_cosine;
  const Assignment want = by_definition(p, steps);
  on_every_level([&](const SimdLevel& level) {
    simd_force(level.name);
    int way = 0;
    for (const int64_t block : {0, 1, 7, 64}) {
      Options options;
      options.block = block;
      options.threads = 1 + way % 3;
      options.list_length = way++ % 2;
      options.min_cosine = min_cosine;
      expect_equal(by_lists(p, steps, options), want, what + " block=" + std::to_string(block));
    }
  });
}

TEST_CASE("lists: every kind of data, new lists half-way") {
  uint64_t seed = 10;
  for (int k = 0; k < static_cast<int>(Kind::kCount); ++k)
    for (const int64_t d : {1, 3, 33}) {
      const Kind kind = static_cast<Kind>(k);
      const bool as_float = ++seed % 2 == 0;
      Matrix x = make_matrix(160, d, kind, 0, seed, as_float, true);
      Matrix y = make_matrix(150, d, kind, 1, seed, as_float, true);
      const Matrix many = make_matrix(23, d, kind, 0, seed + 100, true);
      const Matrix few = make_matrix(5, d, kind, 1, seed + 200);
      const std::vector<Step> steps{{&many, 0, 0},    {nullptr, 40, 1}, {nullptr, 80, 4},
                                    {&few, 0, 0},     {nullptr, 90, 2}, {nullptr, 130, 1},
                                    {nullptr, 150, 9}};
      check(x, y, steps, std::string(kind_name(kind)) + " d=" + std::to_string(d));
    }
}

TEST_CASE("lists: all of them probed, or none made: the exact answer") {
  Matrix x = make_matrix(300, 20, Kind::kGaussian, 0, 7);
  Matrix y = make_matrix(300, 20, Kind::kGaussian, 1, 7);
  const Matrix centres = make_matrix(17, 20, Kind::kGaussian, 0, 8);
  Team one(1);
  const Problem p = make_problem(x, y, one);
  const Assignment want = brute_force(p);
  expect_equal(by_lists(p, {{&centres, 0, 0}, {nullptr, 300, 17}}, {}), want, "all lists");
  expect_equal(by_lists(p, {{nullptr, 300, 1}}, {}), want, "no lists");
}

TEST_CASE("lists: y's that take none, and more y's than x's") {
  uint64_t seed = 60;
  for (const Kind kind : {Kind::kGaussian, Kind::kCone, Kind::kGrid, Kind::kAllEqual})
    for (const int64_t n_y : {60, 150})
      for (const double bound : {-0.5, 0.0, 0.4, 2.0}) {
        Matrix x = make_matrix(90, 6, kind, 0, ++seed, true, true);
        Matrix y = make_matrix(n_y, 6, kind, 1, seed, true, true);
        const Matrix centres = make_matrix(9, 6, kind, 0, seed + 100);
        const std::vector<Step> steps{
            {&centres, 0, 0}, {nullptr, n_y / 2, 2}, {&centres, 0, 0}, {nullptr, n_y, 3}};
        check(x, y, steps, std::string(kind_name(kind)) + " bound=" + digits(bound), bound);
      }
}

TEST_CASE("lists: a list of many frames") {
  Matrix x = make_matrix(9000, 4, Kind::kGaussian, 0, 3, true);
  Matrix y = make_matrix(40, 4, Kind::kGaussian, 1, 3, true);
  Matrix centres(2, 4);  // a half each: a zero row is as near as 90 degrees
  for (int64_t c = 0; c < 4; ++c) centres(1, c) = c == 0 ? -1.0 : 0.0;
  Team one(1);
  const Problem p = make_problem(x, y, one);
  const std::vector<Step> steps{{&centres, 0, 0}, {nullptr, 40, 1}};
  expect_equal(by_lists(p, steps, {}), by_definition(p, steps), "two lists");
}

TEST_CASE("lists: turns that are only tried change nothing") {
  Matrix x = make_matrix(200, 8, Kind::kGaussian, 0, 5);
  Matrix y = make_matrix(200, 8, Kind::kGaussian, 1, 5);
  Matrix centres = make_matrix(10, 8, Kind::kGaussian, 0, 6);
  Team one(1);
  const Problem p = make_problem(x, y, one);
  ListMatcher matcher(p.x, p.y, {}, nullptr);
  matcher.set_lists(centres.view());
  const std::vector<uint32_t> turns{0, 3, 199};
  std::vector<double> some(3), all(3);
  matcher.try_turns(turns.data(), 3, 2, some.data());
  matcher.try_turns(turns.data(), 3, 10, all.data());
  for (size_t i = 0; i < 3; ++i) CHECK(some[i] <= all[i]);
  CHECK(matcher.done() == 0);
  matcher.match_until(200, 2);
  CHECK(matcher.free() == 0);
  const std::vector<Step> steps{{&centres, 0, 0}, {nullptr, 200, 2}};
  expect_equal(matcher.assignment(), by_definition(p, steps), "after trying");
  CHECK(matcher.assignment().cosine[0] == some[0]);
  matcher.try_turns(turns.data(), 3, 2, some.data());
  CHECK(std::isnan(some[0]));
}

TEST_CASE("lists: what does not fit") {
  Matrix x = make_matrix(20, 3, Kind::kGaussian, 0, 1);
  Matrix y = make_matrix(20, 3, Kind::kGaussian, 1, 1);
  Matrix centres = make_matrix(2, 4, Kind::kGaussian, 0, 1);
  ListMatcher matcher(x.view(), y.view(), {}, nullptr);
  CHECK_THROWS_AS(matcher.set_lists(centres.view()), std::invalid_argument);
  CHECK_THROWS_AS(matcher.match_until(20, 0), std::invalid_argument);
  Matrix more = make_matrix(21, 3, Kind::kGaussian, 1, 1);
  CHECK_THROWS_AS(ListMatcher(x.view(), more.view(), {}, nullptr), std::invalid_argument);
}

}  // namespace
}  // namespace gtn::test
