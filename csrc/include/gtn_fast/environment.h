// The floating-point environment that the arithmetic is defined in: rounding to nearest,
// subnormal numbers kept, nothing trapped. A caller may have set another: flush-to-zero by
// torch or by a library built with -ffast-math, another rounding mode.
//
// What makes decisions owns its environment: match(), Screener, resolve_lists() and all that
// takes a Team. What works on a single row (row_scale, row_direction, ordered_dot, normal_row)
// takes the environment as it is: it is called for every row, by those.
#pragma once

#include <functional>

namespace gtn {

// Runs work() in that environment; the thread has its own again afterwards, however work() ends.
//
// The compiler knows nothing of environments and may move arithmetic past what sets one, but not
// out of a function that it calls without seeing it: so work() is called from another file.
void in_default_environment(const std::function<void()>& work);

}  // namespace gtn
