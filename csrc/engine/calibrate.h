// How fast this machine is, in a few hundredths of a second: for predictions, never for
// anything that could change an answer.
#pragma once

#include <cstdint>

namespace gtn {

// Pairs of d values that one thread screens a second: the bare kernel, nothing survives.
double screening_rate(int64_t d);

}  // namespace gtn
