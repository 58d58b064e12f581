// How fast this machine is, in a tenth of a second: for predictions, never for
// anything that could change an answer.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace gtn {

// One thread's rates for rows of d values: "pairs_per_s" screened and
// "rows_per_s" packed, "cosines_per_s" evaluated exactly.
std::map<std::string, double> calibrate(int64_t d);

}  // namespace gtn
