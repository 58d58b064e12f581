// The engine's front door: Algorithm 1 of the GTN paper, exactly.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "gtn_fast/direction.h"
#include "gtn_fast/matrix.h"
#include "gtn_fast/parallel.h"

namespace gtn {

enum class Strategy : uint8_t { kRay, kCircle, kTree, kScreen };

struct Options {
  Strategy strategy = Strategy::kScreen;
  int threads = 1;
  // 0: chosen by the strategy. Never change the answer; the tests vary them.
  int64_t block = 0;        // y's searched together
  int64_t list_length = 0;  // candidates kept a y
};

// What happened: ordered (name, value) pairs; counts are exact, times in seconds.
struct Report {
  std::vector<std::pair<std::string, double>> values;
  void add(const char* name, double value) { values.emplace_back(name, value); }
};

// What every strategy starts from, made once by match().
struct Problem {
  MatrixView x, y;
  std::vector<RowScale> x_scale, y_scale;      // by row
  std::vector<uint32_t> x_by_norm, y_by_norm;  // rank -> row
};

// For every rank of y (position in y_by_norm) the chosen row of X and the
// float64 cosine of the pair.
struct Assignment {
  std::vector<uint32_t> x_row;
  std::vector<double> cosine;
};

// One function a strategy. Preconditions (match() checks): 1 <= y.rows <= x.rows
// < 2^32 - 1, equal cols >= 1, finite values; ray: cols == 1, circle: cols == 2.
// Each updates team.control()->done as y's are settled (if there is a control).
Assignment match_ray(const Problem& problem, const Options& options, Team& team, Report& report);
Assignment match_circle(const Problem& problem, const Options& options, Team& team, Report& report);
Assignment match_tree(const Problem& problem, const Options& options, Team& team, Report& report);
Assignment match_screen(const Problem& problem, const Options& options, Team& team, Report& report);

// Fills x_index[n_y], cosine[n_y] (both in Y's row order) and order[n_y] (rows
// of Y as they chose). Throws std::invalid_argument, std::bad_alloc, Cancelled.
void match(const MatrixView& x, const MatrixView& y, const Options& options, Control& control,
           int64_t* x_index, double* cosine, int64_t* order, Report& report);

}  // namespace gtn
