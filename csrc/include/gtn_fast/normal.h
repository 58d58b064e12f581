// Standard normal numbers from a counter: element (row, col) of the sample with
// a given seed is a pure function of (seed, row, col), the same on every machine.
//
// Philox4x64-10 (Salmon et al. 2011) gives four 64-bit words a counter; word w of
// counter c is element 4 c + w of the row-major sample, counted with rows padded
// to a multiple of four columns. A word becomes a uniform in (0, 1) with 53 bits,
// then a normal by the inverse distribution function (Wichura's AS 241), written
// with + - * / and sqrt alone so that no library's log can change a bit.
#pragma once

#include <cstdint>

namespace gtn {

class Team;

// out[(r - first_row) * cols + c], r in [first_row, first_row + rows), rounded to float.
void fill_normal(uint64_t seed, int64_t first_row, int64_t rows, int64_t cols, float* out,
                 Team& team);
// One row: out[0..cols).
void normal_row(uint64_t seed, int64_t row, int64_t cols, float* out);
// The same for any rows: out[i * cols + c] is element (rows[i], c).
void fill_normal_rows(uint64_t seed, const int64_t* rows, int64_t n, int64_t cols, float* out,
                      Team& team);

}  // namespace gtn
