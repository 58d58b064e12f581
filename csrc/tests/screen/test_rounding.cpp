// Data on which rounding alone decides: what is left of a bound is its slack, and an answer
// is wrong if that is missing.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/kernels.h"
#include "tests/screen/screen_util.h"

namespace gtn::test {
namespace {

constexpr int64_t kDims = 7;  // too few to be rotated

// All rows of -1, 0 and 1 with `count` of them not 0: each direction is its codes exactly.
Matrix sign_rows(int count) {
  std::vector<std::vector<double>> rows;
  for (int code = 0; code < 2187; ++code) {
    std::vector<double> row;
    for (int rest = code, i = 0; i < kDims; ++i, rest /= 3) row.push_back(rest % 3 - 1);
    if (std::count(row.begin(), row.end(), 0.0) == kDims - count) rows.push_back(row);
  }
  Matrix m(static_cast<int64_t>(rows.size()), kDims);
  for (int64_t r = 0; r < m.rows; ++r)
    for (int64_t c = 0; c < kDims; ++c)
      m(r, c) = rows[static_cast<size_t>(r)][static_cast<size_t>(c)];
  return m;
}

double real_product(Matrix& x, int64_t a, Matrix& y, int64_t b) {
  double sum = 0.0;
  for (int64_t c = 0; c < kDims; ++c) sum += x(a, c) * y(b, c);
  return sum;
}

// The y's for which some free x ties with the chosen one in real numbers and is before it in
// the order, so that it was rounding that decided.
int64_t decided_by_rounding(Matrix& x, Matrix& y, const Assignment& answer) {
  std::vector<uint8_t> taken(static_cast<size_t>(x.rows), 0);
  int64_t n = 0;
  for (size_t turn = 0; turn < answer.x_row.size(); ++turn) {
    const int64_t chosen = answer.x_row[turn], at = static_cast<int64_t>(turn);
    const double product = real_product(x, chosen, y, at);
    bool first = true;  // all norms are equal: rows are in order
    for (int64_t r = 0; r < chosen; ++r)
      first = first && (taken[static_cast<size_t>(r)] || real_product(x, r, y, at) < product);
    n += !first;
    taken[static_cast<size_t>(chosen)] = 1;
  }
  return n;
}

}  // namespace

TEST_CASE("screen: codes are exact, the last bits of cosines decide") {
  Matrix x = sign_rows(5), all = sign_rows(6);
  Matrix y(kReduced ? 150 : all.rows, kDims);
  for (int64_t r = 0; r < y.rows; ++r)
    for (int64_t c = 0; c < kDims; ++c) y(r, c) = all(r * 31 % all.rows, c);
  Team one(1);
  const Assignment want = brute_force(make_problem(x, y, one));
  CHECK(decided_by_rounding(x, y, want) > y.rows / 10);
  const LevelKept kept;
  on_every_level([&](const SimdLevel& level) {
    simd_force(level.name);
    for (int64_t w = 0; w < kWays; w += kReduced ? 16 : 4)
      // Codes first and last; or, where X is near, rows in between.
      for (const bool out_of_core : {false, true}) {
        Options options = way(w);
        options.out_of_core = out_of_core;
        Report report;
        expect_equal(run_match(x.view(), y.view(), options, report), want,
                     "signs, way " + std::to_string(w) + (out_of_core ? ", out of core" : ""));
        // Around centres of their own, codes would not be exact.
        CHECK(reported(report, "frames_of_neighbours") == 0.0);
        CHECK((reported(report, "pairs_estimated") == 0.0) == out_of_core);
      }
  });
}

// A y just above, or just below, the middle of two floats, and rows whose products with it
// are rounded the same way: the better x is estimated too low, the other one too high, and
// by more than the error of one of the two roundings.
TEST_CASE("screen: estimates in float need the rounding of y and of the products") {
  constexpr int64_t d = 16;
  const double up = 0x1.10643d0000a7cp-2, down = 0x1.26376cffff584p-2;
  const double row_up = 0x1.0009940000000p+0, row_down = 0x1.00259a0000000p+0;
  Matrix y(1, d), x(60, d, true);
  for (int64_t c = 0; c < 13; ++c) y(0, c) = c < 7 ? up : down;
  y(0, 13) = std::sqrt(1.0 - 7.0 * up * up - 6.0 * down * down);
  std::mt19937_64 rng(3);
  std::normal_distribution<double> normal;
  for (int64_t r = 0; r < x.rows; ++r)  // others, far from y, so that codes are not exact
    for (int64_t c = 0; c < d; ++c) x(r, c) = 0.3 * normal(rng) - (c < 13 ? 1.0 : 0.0);
  for (const int64_t better : {3, 40}) {
    const int64_t other = 43 - better;
    for (int64_t c = 0; c < d; ++c) {
      x(better, c) = c >= 7 && c < 13 ? row_down : 0.0;
      x(other, c) = c < 7 ? row_up : 0.0;
    }
    Team one(1);
    const Assignment want = brute_force(make_problem(x, y, one));
    REQUIRE(want.x_row[0] == better);
    // What the estimates are, on this machine: farther apart than one rounding allows.
    std::vector<float> direction, rows[2];
    for (int64_t c = 0; c < d; ++c) {
      direction.push_back(static_cast<float>(y(0, c)));
      rows[0].push_back(static_cast<float>(x(better, c)));
      rows[1].push_back(static_cast<float>(x(other, c)));
    }
    const double low = kernels().float_dot(direction.data(), rows[0].data(), d);
    const double high = kernels().float_dot(direction.data(), rows[1].data(), d);
    const double apart = high / (row_up * std::sqrt(7.0)) - low / (row_down * std::sqrt(6.0));
    CHECK(apart > 2.0 * float_dot_error(d) + 0x1p-26);
    CHECK(apart > 2.0 * 0x1.1p-24 + 0x1p-26);
    for (const Report& report : check_screen(x, y, 0, 9, "float"))
      CHECK(reported(report, "pairs_estimated") >= 2.0);
  }
}

}  // namespace gtn::test
