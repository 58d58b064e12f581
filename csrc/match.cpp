#include "gtn_fast/match.h"

#include <chrono>
#include <stdexcept>
#include <string>

#include "gtn_fast/order.h"

namespace gtn {
namespace {

void check(const MatrixView& a, const char* name) {
  if (a.rows < 1 || a.cols < 1 || a.data == nullptr)
    throw std::invalid_argument(std::string(name) + " is empty");
  if (a.row_stride < a.cols) throw std::invalid_argument(std::string(name) + ": bad row stride");
  if (a.rows >= (int64_t{1} << 32) - (int64_t{1} << 24))
    throw std::invalid_argument(std::string(name) + ": too many rows");
}

void check(const MatrixView& x, const MatrixView& y, const Options& options) {
  check(x, "X");
  check(y, "Y");
  if (x.cols != y.cols) throw std::invalid_argument("X and Y differ in columns");
  if (y.rows > x.rows) throw std::invalid_argument("Y has more rows than X");
  if (options.threads < 1 || options.threads > 4096)
    throw std::invalid_argument("threads out of range");
  if (options.block < 0 || options.list_length < 0)
    throw std::invalid_argument("block and list_length must not be negative");
  if (options.strategy == Strategy::kRay && x.cols != 1)
    throw std::invalid_argument("ray needs d = 1");
  if (options.strategy == Strategy::kCircle && x.cols != 2)
    throw std::invalid_argument("circle needs d = 2");
}

Assignment run(const Problem& problem, const Options& options, Team& team, Report& report) {
  switch (options.strategy) {
    case Strategy::kRay:
      return match_ray(problem, options, team, report);
    case Strategy::kCircle:
      return match_circle(problem, options, team, report);
    case Strategy::kTree:
      return match_tree(problem, options, team, report);
    case Strategy::kScreen:
      return match_screen(problem, options, team, report);
  }
  throw std::invalid_argument("unknown strategy");
}

}  // namespace

void match(const MatrixView& x, const MatrixView& y, const Options& options, Control& control,
           int64_t* x_index, double* cosine, int64_t* order, Report& report) {
  check(x, y, options);
  const auto start = std::chrono::steady_clock::now();
  Team team(options.threads, &control);
  Problem problem;
  problem.x = x;
  problem.y = y;
  problem.x_scale = row_scales(x, team);
  problem.y_scale = row_scales(y, team);
  problem.x_by_norm = norm_order(problem.x_scale, team);
  problem.y_by_norm = norm_order(problem.y_scale, team);
  report.add("seconds_order",
             std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  const Assignment result = run(problem, options, team, report);
  team.for_chunks(y.rows, int64_t{1} << 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t rank = begin; rank < end; ++rank) {
      const size_t r = static_cast<size_t>(rank);
      const int64_t row = problem.y_by_norm[r];
      order[rank] = row;
      x_index[row] = result.x_row[r];
      cosine[row] = result.cosine[r];
    }
  });
  report.add("seconds_native",
             std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
}

}  // namespace gtn
