// Measures how fast this machine is, in 30 ms. Predictions use the result; no answer depends
// on it.
#pragma once

#include <cstdint>

namespace gtn {

// Pairs of rows of d values that one thread screens per second: the kernel alone, with
// thresholds that no pair reaches.
double screening_rate(int64_t d);

}  // namespace gtn
