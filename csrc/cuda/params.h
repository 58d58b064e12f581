// What the kernels take, plain structures that the host fills (loop.cpp) and both sides read.
#pragma once

#include <cstdint>

#include "cuda/portable.h"

namespace gtn::cuda {

constexpr int kEmpty =
    0x7f7f7f7f;  // (its bytes are alike) holder of a column that no y of the block holds
constexpr int kMaximaKept = 16;  // the most a threshold looks at
constexpr int kList = 16;        // candidates of a y
constexpr int kSurvivors = 256;  // the most a y may have to choose them from
constexpr int kDeepList = 128;   // the same for a y whose list ran dry
constexpr int kDeepSurvivors = 2048;
constexpr int kMostDry = 4096;  // y's of a block that may get a deep list
constexpr int kDeepLanes = 256;

// Numbers of a block that kernels count with; zero at its start, except `failed`.
struct Counters {
  int dry;         // rows whose lists ran dry, in `dry_rows`
  int deep_begin;  // those that get deep lists in this round ...
  int deep_end;    // ... and propose again
  int holes;       // taken columns below the new end
  int movers;      // free columns beyond it
  int done;        // turns that are final; from here on for the whole run
  int failed;      // not 0: the block could not be done here (`Failure`); nothing runs any more
  int deepened;    // rows that got deep lists
  unsigned long long survivors;
};
constexpr int kBlockCounters = 5;  // the first ones, zero at the start of a block

enum Failure { kTooManyDry = 1, kTooManySurvivors, kDryAgain };

// What a row is stored as.
struct Rows {
  const void* data;
  const double* largest;  // m of direction.h
  const double* inner;    // n of direction.h
  int64_t stride;         // values
  int is_double;
};

// Scores of `rows` y's with columns, tile by tile of columns.
struct ScreenParams {
  const unsigned char* y;  // codes, from the first row of the block
  const unsigned char* x;  // codes
  Counters* counters;
  int deep;  // 1: the rows are those before counters->deep_end, if any are new
  int rows, cols, padded;
  int tiles, tiles_per_split, splits;
  // maxima: out[(tile / per * 4 + quarter) * ld + row], the maximum over a quarter of the columns
  // of `per` tiles; tiles_per_split is a multiple of `per`
  float* maxima;
  int64_t ld;
  int per;
  // survivors: list (row, split * 4 + quarter) of up to `capacity` columns
  const float* threshold;
  int* count;
  int* cols_found;
  int capacity;
};

struct ThresholdParams {
  Counters* counters;
  const float* maxima;
  int64_t ld;
  int rows, groups, nth;
  float* threshold;
};

// Exact cosines of the survivors of a row, the best of them as a list, best first.
struct DecideParams {
  Counters* counters;
  Rows x, y;
  int d, rows;
  int deep;                 // 1: as in ScreenParams
  const int* row_in_block;  // null: as they come
  const int* y_row;         // of the block's rows: row of Y
  const int* x_row;         // of the columns: row of X
  const uint32_t* rank;     // of the rows of X
  const float* threshold;
  const double* level_base;  // of the block's rows: exact cosines >= level_base + threshold *
  double level_scale;        // level_scale are among the survivors
  const int* count;
  const int* cols_found;
  int lists, capacity;  // lists of a row, and places of each
  int keep, most;       // of the list, and survivors that fit
  int* list_col;
  double* list_cosine;
  int* list_length;  // -1: more survivors than fit
};

// Lists choose: each y proposes to its candidates in order; an x keeps the earliest y.
struct ProposeParams {
  Counters* counters;
  int rows;             // of the block
  const int* list_col;  // kList places each
  const int* list_length;
  const int* deep_of;   // of the block's rows: its deep list, -1
  const int* deep_col;  // kDeepList places each
  const int* deep_length;
  int* holder;    // of the columns: the row that holds it
  int* dry_rows;  // kMostDry
  int deep;       // 1: the rows of dry_rows from deep_begin to deep_end propose
};

// Rows that ran dry get lower thresholds and their codes put together.
struct DeepenParams {
  Counters* counters;
  const float* maxima;
  int64_t ld;
  int groups, nth, padded;
  const int* dry_rows;
  const int* list_length;
  const float* threshold;  // of the block's rows
  float* deep_threshold;   // of the deep rows
  int* deep_of;
  const unsigned char* y;
  unsigned char* deep_codes;
};

struct FinishParams {
  Counters* counters;
  int rows, begin;  // of the block; its first turn
  const int* list_col;
  const double* list_cosine;
  const int* list_length;
  const int* deep_of;
  const int* deep_col;
  const double* deep_cosine;
  const int* deep_length;
  const int* holder;
  const int* x_row;
  int* chosen;     // of all turns: row of X
  double* cosine;  // of all turns
};

// Taken columns below the new end get the free columns beyond it.
struct CompactParams {
  Counters* counters;
  unsigned char* x;
  int* x_row;
  int* holder;
  int* holes;
  int* movers;
  int cols, left, padded;
};

// The last y's, and all x's that are free: everything with everything.
struct EndParams {
  Counters* counters;
  Rows x, y;
  int d, rows, cols, begin;
  const int* y_row;
  const int* x_row;
  const uint32_t* rank;
  double* x_direction;  // (cols, d)
  double* y_direction;  // (rows, d)
  double* cosines;      // (rows, cols)
  uint32_t* col_rank;
  int* holder;
  int* chosen;
  double* cosine;
};

struct ScaleParams {
  const void* data;
  int64_t rows, stride;
  int d, is_double;
  double* largest;
  double* inner;
};

}  // namespace gtn::cuda
