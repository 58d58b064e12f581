#include "gtn_fast/match.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <stdexcept>
#include <string>

#include "gtn_fast/environment.h"
#include "gtn_fast/order.h"

namespace gtn {
namespace {

constexpr int64_t kMostDrawn = int64_t{1} << 62;  // counters

void check(const MatrixPart& part, int64_t cols, const char* name) {
  if (part.data == nullptr) throw std::invalid_argument(std::string(name) + " is empty");
  if (part.row_stride < cols) throw std::invalid_argument(std::string(name) + ": bad row stride");
}

void check(const MatrixView& a, const char* name) {
  if (a.rows < 1 || a.cols < 1) throw std::invalid_argument(std::string(name) + " is empty");
  if (a.drawn) {
    if (a.dtype != DType::kFloat32 || a.rows > kMostDrawn / ((a.cols + 3) / 4))
      throw std::invalid_argument(std::string(name) + " cannot be drawn");
  } else if (a.parts.empty()) {
    check(a.all, a.cols, name);
  } else {
    if (a.parts[0].first_row != 0)
      throw std::invalid_argument(std::string(name) + ": parts must begin with row 0");
    for (size_t p = 0; p < a.parts.size(); ++p) {
      check(a.parts[p], a.cols, name);
      const int64_t end = p + 1 < a.parts.size() ? a.parts[p + 1].first_row : a.rows;
      if (a.parts[p].first_row >= end)
        throw std::invalid_argument(std::string(name) + ": parts must ascend");
    }
  }
  if (a.rows >= (int64_t{1} << 32) - (int64_t{1} << 24))
    throw std::invalid_argument(std::string(name) + ": too many rows");
}

void check(const MatrixView& a, const Rows& part, const char* name) {
  if (part.all()) return;
  if (part.n < 1) throw std::invalid_argument(std::string("no row of ") + name + " takes part");
  for (int64_t i = 0; i < part.n; ++i)
    if (part.rows[i] >= a.rows || (i > 0 && part.rows[i] <= part.rows[i - 1]))
      throw std::invalid_argument(std::string("rows of ") + name + " must ascend, in range");
}

void check(const Options& options, int64_t d) {
  if (options.threads < 1 || options.threads > 4096)
    throw std::invalid_argument("threads out of range");
  if (options.block < 0 || options.list_length < 0)
    throw std::invalid_argument("block and list_length must not be negative");
  if (std::isnan(options.min_cosine)) throw std::invalid_argument("min_cosine is NaN");
  if (options.strategy == Strategy::kRay && d != 1) throw std::invalid_argument("ray needs d = 1");
  if (options.strategy == Strategy::kCircle && d != 2)
    throw std::invalid_argument("circle needs d = 2");
  if (options.metric == Metric::kCosine) return;
  if (options.strategy == Strategy::kRay || options.strategy == Strategy::kCircle)
    throw std::invalid_argument("distances need tree or screen");
  if (options.min_cosine != kAnyCosine) throw std::invalid_argument("distances take no min_cosine");
}

void check_range(const std::vector<RowScale>& scales, const char* name) {
  for (const RowScale& scale : scales)
    if (scale.max_abs > kLargestValue)
      throw std::invalid_argument(std::string(name) + " is too large for distances");
}

void run(const Problem& problem, const Options& options, Team& team, Report& report,
         Assignment& out) {
  switch (options.strategy) {
    case Strategy::kRay:
      return match_ray(problem, options, team, report, out);
    case Strategy::kCircle:
      return match_circle(problem, options, team, report, out);
    case Strategy::kTree:
      return match_tree(problem, options, team, report, out);
    case Strategy::kScreen:
      return match_screen(problem, options, team, report, out);
  }
  throw std::invalid_argument("unknown strategy");
}

void check_and_match(const MatrixView& x, const MatrixView& y, const Rows& x_rows,
                     const Rows& y_rows, const Options& options, Control& control, Assignment& out,
                     Report& report) {
  const auto start = std::chrono::steady_clock::now();
  const auto seconds = [start] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  check(options, x.cols);
  Team team(options.threads, &control);
  const Problem problem = make_problem(x, y, x_rows, y_rows, options, team, out);
  report.add("seconds_order", seconds());
  run(problem, options, team, report, out);
  // There are as many x's as y's: what finds none has read numbers that changed meanwhile.
  if (options.min_cosine == kAnyCosine && std::ranges::find(out.x_row, kNoRow) != out.x_row.end())
    throw std::logic_error("a search found nothing");
  report.add("seconds_native", seconds());
}

}  // namespace

Problem make_problem(const MatrixView& x, const MatrixView& y, const Rows& x_rows,
                     const Rows& y_rows, const Options& options, Team& team, Assignment& out) {
  check(x, "X");
  check(y, "Y");
  check(x, x_rows, "X");
  check(y, y_rows, "Y");
  if (x.cols != y.cols) throw std::invalid_argument("X and Y differ in columns");
  const int64_t n_x = x_rows.all() ? x.rows : x_rows.n;
  const int64_t n_y = y_rows.all() ? y.rows : y_rows.n;
  if (n_y > n_x && options.min_cosine == kAnyCosine)
    throw std::invalid_argument("Y has more rows than X");
  Problem problem;
  problem.x = x;
  problem.y = y;
  problem.min_cosine = options.min_cosine;
  problem.metric = options.metric;
  problem.x_scale = row_scales(x, x_rows, team);
  problem.y_scale = row_scales(y, y_rows, team);
  if (problem.by_distance()) {
    check_range(problem.x_scale, "X");
    check_range(problem.y_scale, "Y");
  }
  problem.x_by_norm = norm_order(problem.x_scale, x_rows, team);
  problem.y_by_norm = norm_order(problem.y_scale, y_rows, team);
  out.y_row = problem.y_by_norm;
  out.x_row.resize(static_cast<size_t>(n_y));
  out.cosine.resize(static_cast<size_t>(n_y));
  return problem;
}

void match(const MatrixView& x, const MatrixView& y, const Rows& x_rows, const Rows& y_rows,
           const Options& options, Control& control, Assignment& out, Report& report) {
  in_default_environment(
      [&] { check_and_match(x, y, x_rows, y_rows, options, control, out, report); });
}

}  // namespace gtn
