// The floating-point environment: whatever the caller has set, the answer is the same, and the
// caller has its own again afterwards.
#include <cfenv>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "gtn_fast/environment.h"
#include "gtn_fast/lists.h"
#include "gtn_fast/normal.h"
#include "gtn_fast/screener.h"
#include "tests/test_util.h"

namespace gtn::test {
namespace {

struct Environment {
  const char* name;
  void (*set)();
};

// Subnormal numbers count as zero, as operands and as results.
void flush() {
#if defined(__x86_64__)
  _mm_setcsr(_mm_getcsr() | 0x8040);
#elif defined(__aarch64__)
  uint64_t control;
  __asm__ __volatile__("mrs %0, fpcr" : "=r"(control));
  __asm__ __volatile__("msr fpcr, %0" ::"r"(control | (uint64_t{1} << 24)));
#endif
}

const Environment kEnvironments[] = {
    {"upward", [] { std::fesetround(FE_UPWARD); }},
    {"downward", [] { std::fesetround(FE_DOWNWARD); }},
    {"toward zero", [] { std::fesetround(FE_TOWARDZERO); }},
    {"flush", flush},
    {"flush, upward", [] { flush(), std::fesetround(FE_UPWARD); }},
};

// What the environment does to sums and to subnormal numbers: a number for each environment.
int seen() {
  const volatile double one = 1.0, little = 0x1p-60, least = 0x1p-1022, half = 0.5;
  const volatile double up = one + little, down = one - little, below = least * half;
  return (up > 1.0 ? 1 : 0) + (down < 1.0 ? 2 : 0) + (below == 0.0 ? 4 : 0);
}

// work() with that environment around it, which must still be there afterwards.
void in(const Environment& environment, const std::function<void()>& work) {
  std::fenv_t before;
  std::fegetenv(&before);
  environment.set();
  const int own = seen();
  work();
  const int after = seen();
  std::fesetenv(&before);
  CHECK_MESSAGE(own != 0, environment.name, " cannot be set");
  CHECK_MESSAGE(after == own, environment.name, " is gone");
}

// Rows of every size that rounding and flushing treat otherwise, and ties.
Matrix rows_of_all_sizes(int64_t n, int64_t d, uint64_t seed) {
  std::mt19937_64 rng(seed);
  std::normal_distribution<double> normal;
  const double sizes[] = {1e-310, 0x1p-1022, 1.0, 1e300};
  Matrix m(n, d);
  for (int64_t r = 0; r < n; ++r)
    for (int64_t c = 0; c < d; ++c) {
      if (r % 5 == 4)
        m(r, c) = std::round(2.0 * normal(rng)) * 5e-324;
      else
        m(r, c) = normal(rng) * sizes[r % 5];
    }
  return m;
}

Assignment matched(Matrix& x, Matrix& y, Strategy strategy, int threads) {
  Options options;
  options.strategy = strategy;
  options.threads = threads;
  Control control;
  Assignment out;
  Report report;
  match(x.view(), y.view(), {}, {}, options, control, out, report);
  return out;
}

}  // namespace

TEST_CASE("environment: the default inside, the caller's own afterwards") {
  CHECK(seen() == 0);
  for (const Environment& environment : kEnvironments) {
    int inside = -1, nested = -1;
    in(environment, [&] {
      in_default_environment([&] {
        inside = seen();
        environment.set();  // a body may leave another behind
        in_default_environment([&] { nested = seen(); });
      });
    });
    CHECK_MESSAGE(inside == 0, environment.name);
    CHECK_MESSAGE(nested == 0, environment.name);
    in(environment, [&] {
      try {
        in_default_environment([] { throw std::runtime_error("thrown"); });
      } catch (const std::runtime_error&) {
      }
    });
  }
}

TEST_CASE("environment: bodies of a team have the default, whoever made and runs it") {
  for (const Environment& environment : kEnvironments)
    for (const int threads : {1, 3})
      for (const int64_t n : {4, 400}) {
        std::vector<int> by_thread(static_cast<size_t>(threads), -1);
        std::vector<int> by_chunk(static_cast<size_t>(n), -1);
        const auto run = [&](Team& team) {
          team.run([&](int t) { by_thread[static_cast<size_t>(t)] = seen(); });
          team.for_chunks(n, 8, [&](int64_t begin, int64_t end, int) {
            for (int64_t i = begin; i < end; ++i) by_chunk[static_cast<size_t>(i)] = seen();
          });
        };
        const auto check = [&](const char* what) {
          for (const int each : by_thread) CHECK_MESSAGE(each == 0, environment.name, what);
          for (const int each : by_chunk) CHECK_MESSAGE(each == 0, environment.name, what);
        };
        in(environment, [&] {
          Team team(threads);
          run(team);
        });
        check(": made there");
        std::fill(by_thread.begin(), by_thread.end(), -1);
        std::fill(by_chunk.begin(), by_chunk.end(), -1);
        Team team(threads);
        std::thread other([&] { in(environment, [&] { run(team); }); });
        other.join();
        check(": made elsewhere");
      }
}

TEST_CASE("environment: every strategy gives the same bits") {
  const struct {
    Strategy strategy;
    int64_t d;
  } cases[] = {{Strategy::kRay, 1},  {Strategy::kCircle, 2}, {Strategy::kTree, 3},
               {Strategy::kTree, 8}, {Strategy::kScreen, 3}, {Strategy::kScreen, 40}};
  for (const auto& each : cases) {
    Matrix x = rows_of_all_sizes(300, each.d, 1), y = rows_of_all_sizes(280, each.d, 2);
    Team team(1);
    const Assignment want = brute_force(make_problem(x, y, team));
    for (const Environment& environment : kEnvironments)
      for (const int threads : {1, 2}) {
        Assignment got;
        in(environment, [&] { got = matched(x, y, each.strategy, threads); });
        expect_equal(got, want, std::string(environment.name) + ", d = " + std::to_string(each.d));
      }
  }
}

TEST_CASE("environment: the source sample") {
  std::vector<float> want(9999), got(want.size());
  Team team(2);
  fill_normal(7, 3, 3333, 3, want.data(), team);
  for (const Environment& environment : kEnvironments)
    for (const int threads : {1, 2}) {
      in(environment, [&] {
        Team own(threads);
        fill_normal(7, 3, 3333, 3, got.data(), own);
      });
      CHECK_MESSAGE(got == want, environment.name);
    }
}

TEST_CASE("environment: lists from elsewhere") {
  constexpr int64_t n = 60, d = 5;
  Matrix x = rows_of_all_sizes(n, d, 3), y = rows_of_all_sizes(n, d, 4);
  std::vector<int64_t> candidates, rows(n);
  std::iota(rows.begin(), rows.end(), 0);
  for (int64_t i = 0; i < n; ++i)
    for (const int64_t row : {(i * 7) % n, (i * 11 + 3) % n}) candidates.push_back(row);
  const ListsView lists{n, 2, candidates.data()};
  const std::vector<ListLevel> level(n, {-std::numeric_limits<double>::infinity(), 0});
  std::vector<uint32_t> rank(n);
  std::iota(rank.begin(), rank.end(), 0u);
  const auto run = [&](std::vector<double>& cosine, std::vector<int64_t>& chosen) {
    Team team(2);
    cosine.assign(n * 2, 0.0);
    chosen.assign(n, -1);
    evaluate_lists(x.view(), y.view(), rows.data(), lists, cosine.data(), team);
    std::vector<uint8_t> taken(n, 0);
    std::vector<double> chosen_cosine(n, 0.0);
    std::vector<int64_t> dry;
    resolve_lists(lists, cosine.data(), level.data(), rank.data(), taken.data(), 0, chosen.data(),
                  chosen_cosine.data(), dry);
  };
  std::vector<double> want, got;
  std::vector<int64_t> want_chosen, got_chosen;
  run(want, want_chosen);
  CHECK(want_chosen[0] >= 0);
  for (const Environment& environment : kEnvironments) {
    in(environment, [&] { run(got, got_chosen); });
    CHECK_MESSAGE(got == want, environment.name);
    CHECK_MESSAGE(got_chosen == want_chosen, environment.name);
  }
}

TEST_CASE("environment: lists whose cosines differ by less than a normal number") {
  const int64_t candidates[] = {0, 1};
  const double cosines[] = {1e-309, 2e-309};
  const ListsView lists{1, 2, candidates};
  const ListLevel level{-std::numeric_limits<double>::infinity(), 0};
  const uint32_t rank[] = {0, 1};
  for (const Environment& environment : kEnvironments) {
    int64_t chosen = -1;
    double cosine = 0.0;
    in(environment, [&] {
      uint8_t taken[] = {0, 0};
      std::vector<int64_t> dry;
      resolve_lists(lists, cosines, &level, rank, taken, 0, &chosen, &cosine, dry);
    });
    CHECK_MESSAGE(chosen == 1, environment.name);
    CHECK_MESSAGE(cosine == 2e-309, environment.name);
  }
}

TEST_CASE("environment: a shard under screening") {
  constexpr int64_t n = 500, n_y = 64, d = 6, places = 8;
  Matrix x = rows_of_all_sizes(n, d, 5), y = rows_of_all_sizes(n_y, d, 6);
  Team team(1);
  const Problem problem = make_problem(x, y, team);
  std::vector<uint32_t> rank(n);
  for (size_t r = 0; r < problem.x_by_norm.size(); ++r)
    rank[problem.x_by_norm[r]] = static_cast<uint32_t>(r);
  struct Found {
    std::vector<uint32_t> row, level_rank;
    std::vector<double> cosine, level, deep;
    bool operator==(const Found&) const = default;
  };
  const auto search = [&](Screener& screener) {
    Found f{std::vector<uint32_t>(n_y * places), std::vector<uint32_t>(n_y),
            std::vector<double>(n_y * places), std::vector<double>(n_y), std::vector<double>(n_y)};
    screener.search(y.view(), 3, false,
                    {places, f.row.data(), f.cosine.data(), f.level.data(), f.level_rank.data(),
                     f.deep.data()});
    return f;
  };
  const auto run = [&] {
    Screener screener(x.view(), {}, rank.data(), 0, 2, nullptr);
    std::vector<Found> found{search(screener)};
    screener.learn(found[0].deep.data(), n_y);
    screener.take(problem.x_by_norm.data(), n / 2);
    found.push_back(search(screener));
    return found;
  };
  const std::vector<Found> want = run();
  for (const Environment& environment : kEnvironments) {
    std::vector<Found> got;
    in(environment, [&] { got = run(); });
    CHECK_MESSAGE(got == want, environment.name);
  }
}

}  // namespace gtn::test
