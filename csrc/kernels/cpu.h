// Instruction sets: what is compiled in, what this CPU has, which one is used.
#pragma once

#include <string>
#include <vector>

namespace gtn {

// In ascending order of preference.
enum class Simd : int {
  kScalar = 0,
  kAvx2 = 1,
  kAvxVnni = 2,
  kAvx512 = 3,
  kAvx512Vnni = 4,
  kAmx = 5,
};

const char* simd_name(Simd level);

std::vector<Simd> simd_compiled();  // best first
std::vector<Simd> simd_usable();    // compiled and present here, best first

// The level of this process: GTN_FAST_SIMD if set, else the best usable one.
// Read once. Throws std::invalid_argument naming the usable levels when the
// variable names one that is unknown, not compiled or not present.
Simd simd_active();

// For tests: switches the level of this process. Same checks.
void simd_force(const std::string& name);

}  // namespace gtn
