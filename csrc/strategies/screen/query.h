// What screening knows of a y.
#pragma once

#include <cstdint>

namespace gtn {

// A y, quantised: rotated vector (vectors.h) = scale * codes + rest.
struct ScreenQuery {
  double scale;
  double code_norm;      // |scale * codes|, but for rounding, which the slack of a bound covers
  double rest;           // >= |rest|
  double shift, length;  // of vectors.h
  double slack;          // of all bounds of values
  int32_t offset;        // what the unsigned storage of x codes adds to the y's scores
};

}  // namespace gtn
