#include "gtn_fast/lists.h"

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "gtn_fast/direction.h"
#include "gtn_fast/environment.h"
#include "gtn_fast/parallel.h"
#include "strategies/common/turns.h"

namespace gtn {
namespace {

constexpr int64_t kTile = 256;  // lists evaluated together, their x's in address order

struct Place {
  int64_t x_row, at;
};

class Evaluator {
 public:
  Evaluator(const MatrixView& x, const MatrixView& y)
      : x_(x), y_(y), d_(static_cast<size_t>(x.cols)), x_direction_(d_) {}

  void evaluate(const int64_t* y_row, const ListsView& lists, int64_t begin, int64_t end,
                double* cosine) {
    y_direction_.resize(static_cast<size_t>(end - begin) * d_);
    places_.clear();
    for (int64_t i = begin; i < end; ++i) {
      direction(y_, y_row[i], y_of(i - begin));
      for (int64_t at = i * lists.k; at < (i + 1) * lists.k; ++at) {
        if (lists.x_row[at] >= 0)
          places_.push_back({lists.x_row[at], at});
        else
          cosine[at] = -std::numeric_limits<double>::infinity();
      }
    }
    std::sort(places_.begin(), places_.end(),
              [](const Place& a, const Place& b) { return a.x_row < b.x_row; });
    int64_t last = -1;
    for (const Place& p : places_) {
      if (p.x_row != last) direction(x_, last = p.x_row, x_direction_.data());
      cosine[p.at] = ordered_dot(y_of(p.at / lists.k - begin), x_direction_.data(), x_.cols);
    }
  }

 private:
  double* y_of(int64_t i) { return y_direction_.data() + static_cast<size_t>(i) * d_; }
  static void direction(const MatrixView& a, int64_t row, double* out) {
    row_direction(a, row, row_scale(a, row, out), out);
  }

  const MatrixView& x_;
  const MatrixView& y_;
  const size_t d_;
  std::vector<double> x_direction_, y_direction_;
  std::vector<Place> places_;
};

void check_range(const int64_t* rows, int64_t n, int64_t low, int64_t high, const char* what) {
  for (int64_t i = 0; i < n; ++i)
    if (rows[i] < low || rows[i] >= high) throw std::invalid_argument(what);
}

// A list of rows of X for turns.h.
struct RowList {
  static constexpr bool kBestFirst = false;
  const int64_t* x_row;
  const double* cosines;
  int64_t k;
  const uint32_t* x_rank;
  const uint8_t* taken;

  int64_t size() const { return k; }
  double cosine(int64_t c) const { return cosines[c]; }
  uint32_t rank(int64_t c) const {
    const int64_t x = x_row[c];
    return x < 0 || taken[x] ? kNoRank : x_rank[x];
  }
};

int64_t resolve(const ListsView& lists, const double* cosine, const ListLevel* level,
                const uint32_t* x_rank, uint8_t* taken, int64_t begin, int64_t* chosen,
                double* chosen_cosine, std::vector<int64_t>& dry, double bound) {
  const auto choose = [&](int64_t i) {
    const int64_t at = i * lists.k;
    const RowList list{lists.x_row + at, cosine + at, lists.k, x_rank, taken};
    const Choice choice = best_free(list, level[i], bound);
    chosen[i] = choice.place < 0 ? -1 : list.x_row[choice.place];
    if (choice.dry()) return false;
    chosen_cosine[i] = choice.none ? std::numeric_limits<double>::quiet_NaN() : choice.cosine;
    if (!choice.none) taken[chosen[i]] = 1;
    return true;
  };
  const auto take_back = [&](int64_t i) {
    if (chosen[i] >= 0) taken[chosen[i]] = 0;
  };
  return take_turns(begin, lists.n, choose, take_back, dry);
}

}  // namespace

void evaluate_lists(const MatrixView& x, const MatrixView& y, const int64_t* y_row,
                    const ListsView& lists, double* cosine, Team& team) {
  check_range(y_row, lists.n, 0, y.rows, "lists: a row of Y is out of range");
  check_range(lists.x_row, lists.n * lists.k, -1, x.rows, "lists: a row of X is out of range");
  std::vector<Evaluator> evaluators(static_cast<size_t>(team.size()), Evaluator(x, y));
  team.for_chunks(lists.n, kTile, [&](int64_t begin, int64_t end, int thread) {
    evaluators[static_cast<size_t>(thread)].evaluate(y_row, lists, begin, end, cosine);
  });
}

int64_t resolve_lists(const ListsView& lists, const double* cosine, const ListLevel* level,
                      const uint32_t* x_rank, uint8_t* taken, int64_t begin, int64_t* chosen,
                      double* chosen_cosine, std::vector<int64_t>& dry, double bound) {
  int64_t end = begin;
  in_default_environment([&] {
    end = resolve(lists, cosine, level, x_rank, taken, begin, chosen, chosen_cosine, dry, bound);
  });
  return end;
}

}  // namespace gtn
