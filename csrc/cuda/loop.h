// The whole of Algorithm 1 on a device: blocks of y's in turn, then the end, and nothing that the
// host waits for in between.
//
// A block: a sample of the free x's gives every y a threshold (maxima, thresholds); one pass over
// all free x's keeps what reaches it (survivors); exact cosines of these make short lists (decide);
// the lists choose (propose); a y whose list ran dry gets a deep one (two rounds); the choices are
// written (finish), and the x's that were taken leave the codes (compact). When few are left,
// everything is compared with everything (end).
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "cuda/machine.h"

namespace gtn::cuda {

struct Step {
  int begin, rows, cols;  // first turn, y's, free x's
  int splits, tiles_per_split, capacity;
  int sample, per, nth;  // tiles of the sample, tiles per maximum, which maximum
};

struct Schedule {
  std::vector<Step> blocks;
  Step end;                // rows 0: the blocks do it all
  int64_t work_bytes = 0;  // what run() needs beside its inputs and outputs
};

struct Shape {
  int64_t x = 0, y = 0;  // free x's, y's
  int d = 0, padded = 0;
  int block = 0;                // y's of a block, 0: by the free x's
  int64_t end_pairs = 1 << 24;  // at most so many pairs are left to the end
};

Schedule schedule(const Shape& shape, const Machine& machine);

// Memory of the machine. X's columns: codes and rows, in random order (both change). Y by turn.
struct Given {
  Rows x, y;
  unsigned char* x_codes;
  const unsigned char* y_codes;
  int* x_row;
  const int* y_row;
  const uint32_t* rank;      // of X's rows, all of them
  const double* level_base;  // params.h
  double level_scale;
  int* chosen;
  double* cosine;
  Counters* counters;
  void* work;
};

// Runs it. Returns the counters at the end; `done` says how many turns are final: all of them, or
// as many as went before a block that could not be done here. `progress(done)` is called now and
// then and may throw.
Counters run(Machine& machine, const Shape& shape, const Schedule& schedule, const Given& given,
             const std::function<void(int64_t)>& progress);

}  // namespace gtn::cuda
