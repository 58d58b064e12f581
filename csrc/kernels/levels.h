// Levels: the instruction sets that the engine has functions for. One table (levels.cpp)
// says all there is to know of each; names, lists and choices follow from it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kernels/kernels.h"
#include "kernels/tree.h"

namespace gtn {

struct SimdLevel {
  const char* name = nullptr;  // as GTN_FAST_SIMD and the reports say it
  // The level whose functions serve where this one has none of its own, further down in the
  // table: a CPU has this level only if it has that one too. Null: none, it runs anywhere.
  const char* fallback = nullptr;
  // What the CPU needs for this level's own functions, in the words of the system's list
  // (/proc/cpuinfo on Linux), separated by spaces.
  const char* cpu_flags = "";
  bool (*granted)() = nullptr;           // what the system has to allow besides; null: nothing
  const Kernels* kernels = nullptr;      // null in the table: the fallback's
  const TreeSearches* search = nullptr;  // null in the table: the fallback's
};

// Of this build, best first, the scalar level last; no pointer to functions is null.
// Best is what runs fastest where it runs: a level need not include those after it.
const std::vector<SimdLevel>& simd_compiled();
std::vector<const SimdLevel*> simd_usable();  // those that this machine has, best first

// Whether the CPU has a flag and the system saves its registers. Throws std::logic_error for
// a flag that levels.cpp does not know.
bool cpu_has(std::string_view flag);

// The level of this process: GTN_FAST_SIMD if set, else the best usable one.
// Read once. Throws std::invalid_argument naming the usable levels when the
// variable names one that is unknown, not compiled or not present.
const SimdLevel& simd_active();

// For tests: switches the level of this process. Same checks.
void simd_force(const std::string& name);

}  // namespace gtn
