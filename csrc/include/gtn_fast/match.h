// The engine's front door: Algorithm 1 of the GTN paper, exactly.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "gtn_fast/direction.h"
#include "gtn_fast/matrix.h"
#include "gtn_fast/order.h"
#include "gtn_fast/parallel.h"

namespace gtn {

enum class Strategy : uint8_t { kRay, kCircle, kTree, kScreen };

// What a y compares x's by. Strategies know a row by its *point*, and a pair by its *value*, the
// greater the better, which is what they call cosine. By cosine: the direction of a row; the
// ordered_dot of two. By distance: the row itself, in double; minus the squared distance.
enum class Metric : uint8_t { kCosine, kEuclidean };

// By distance no |value| may be above this one: squares of squares stay within double.
constexpr double kLargestValue = 0x1p200;

// Whether screen rules groups of neighbours out by cones: where that seems to pay, or wherever it
// can, or nowhere. Does not change the answer.
enum class UseCones : uint8_t { kAuto, kAlways, kNever };

struct Options {
  Strategy strategy = Strategy::kScreen;
  int threads = 1;
  // 0: chosen by the strategy. Never change the answer; the tests vary them.
  int64_t block = 0;        // y's searched together
  int64_t list_length = 0;  // candidates kept a y
  // X lies in files larger than memory: screen reads it in runs of rows. Nor does this.
  bool out_of_core = false;
  std::string scratch;  // a folder for what does not fit into memory; empty: memory
  UseCones cones = UseCones::kAuto;
  // A y whose best free x has a smaller cosine takes none, and that x stays free. Changes the
  // answer. By default every y takes an x; with any other value n_y may exceed n_x.
  double min_cosine = kAnyCosine;
  // Changes the answer. kEuclidean: tree (from d = 1) and screen, without min_cosine.
  Metric metric = Metric::kCosine;
};

// What happened: ordered (name, value) pairs; counts are exact, times in seconds.
struct Report {
  std::vector<std::pair<std::string, double>> values;
  void add(const char* name, double value) { values.emplace_back(name, value); }
};

// What every strategy starts from, made once by match().
struct Problem {
  MatrixView x, y;
  std::vector<RowScale> x_scale, y_scale;      // by row; only of those that take part
  std::vector<uint32_t> x_by_norm, y_by_norm;  // rank -> row
  double min_cosine = kAnyCosine;              // as in Options
  Metric metric = Metric::kCosine;
  int64_t n_x() const { return static_cast<int64_t>(x_by_norm.size()); }
  int64_t n_y() const { return static_cast<int64_t>(y_by_norm.size()); }
  bool by_distance() const { return metric == Metric::kEuclidean; }
  // Whether the row's direction is zero, so that all x's tie.
  bool zero_y(uint32_t row) const { return !by_distance() && y_scale[row].zero(); }
  // Zero rows, and only they, have norm 0: they come first.
  bool any_zero_y() const { return zero_y(y_by_norm.front()); }

  // out[0..cols): equal points have equal values with every other.
  void x_point(int64_t row, double* out) const { point(x, x_scale, row, out); }
  void y_point(int64_t row, double* out) const { point(y, y_scale, row, out); }
  // What is handed out for the value of a pair: the cosine, or the distance.
  double handed_out(double value) const {
    return by_distance() ? std::sqrt(std::fabs(value)) : value;
  }

 private:
  void point(const MatrixView& a, const std::vector<RowScale>& scale, int64_t row,
             double* out) const {
    if (by_distance())
      row_values(a, row, out);
    else
      row_direction(a, row, scale[static_cast<size_t>(row)], out);
  }
};

// For every rank of y (position in y_by_norm): the row of Y, the chosen row of X and the
// float64 cosine of the pair, or its distance; kNoRow and NaN for a y that takes none. What lies
// below Control::settled is final while the match goes on, and may be read by another thread.
constexpr uint32_t kNoRow = 0xFFFFFFFF;

struct Assignment {
  std::vector<uint32_t> y_row, x_row;
  std::vector<double> cosine;

  void take(int64_t turn, uint32_t row, double of_pair) {
    x_row[static_cast<size_t>(turn)] = row;
    cosine[static_cast<size_t>(turn)] = of_pair;
  }
  // The y's of these turns take none.
  void take_none(int64_t begin, int64_t end) {
    for (int64_t turn = begin; turn < end; ++turn)
      take(turn, kNoRow, std::numeric_limits<double>::quiet_NaN());
  }
};

// Scales and orders of those rows, and room for their answer in `out`. std::invalid_argument for
// what cannot be matched.
Problem make_problem(const MatrixView& x, const MatrixView& y, const Rows& x_rows,
                     const Rows& y_rows, const Options& options, Team& team, Assignment& out);

// One function a strategy, which fills x_row and cosine. Preconditions (match() checks):
// 1 <= n_y, n_x < 2^32 - 1, n_y <= n_x unless there is a min_cosine, equal cols >= 1, finite
// values; ray: cols == 1, circle: cols == 2, both by cosine; out has n_y entries. Each tells
// team.control() (if there is one) how far it is.
void match_ray(const Problem& problem, const Options& options, Team& team, Report& report,
               Assignment& out);
void match_circle(const Problem& problem, const Options& options, Team& team, Report& report,
                  Assignment& out);
void match_tree(const Problem& problem, const Options& options, Team& team, Report& report,
                Assignment& out);
void match_screen(const Problem& problem, const Options& options, Team& team, Report& report,
                  Assignment& out);

// Matches those rows of y with those of x, in order of choice. `out` outlives an exception:
// the pairs below control.settled are part of the answer.
// Throws std::invalid_argument, std::bad_alloc, Cancelled.
void match(const MatrixView& x, const MatrixView& y, const Rows& x_rows, const Rows& y_rows,
           const Options& options, Control& control, Assignment& out, Report& report);

}  // namespace gtn
