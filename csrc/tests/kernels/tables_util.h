// Sweeps over the tables of kernels: those that this CPU can run, and every one made of plain C++.
#pragma once

#include <string>

#include "kernels/kernels.h"
#include "tests/levels_util.h"

namespace gtn {
// The kernels' own sources, compiled with the stand-ins of the folder emulated/ for intrinsics.
extern const Kernels kEmulatedAvx2, kEmulatedAvxVnni, kEmulatedAvx512, kEmulatedAvx512Vnni,
    kEmulatedAmx, kEmulatedNeon, kEmulatedNeonDot, kEmulatedNeonI8mm;
}  // namespace gtn

namespace gtn::test {

struct EmulatedTable {
  const char* name;
  const Kernels* kernels;
};

inline constexpr EmulatedTable kEmulatedTables[] = {
    {"avx2", &kEmulatedAvx2},       {"avxvnni", &kEmulatedAvxVnni},
    {"avx512", &kEmulatedAvx512},   {"avx512vnni", &kEmulatedAvx512Vnni},
    {"amx", &kEmulatedAmx},         {"neon", &kEmulatedNeon},
    {"neondot", &kEmulatedNeonDot}, {"neoni8mm", &kEmulatedNeonI8mm},
};

// body(kernels, whether they are emulated); a failure names the table.
template <class Body>
void on_every_table(const Body& body) {
  on_every_level([&](const SimdLevel& level) { body(*level.kernels, false); });
  for (const EmulatedTable& table : kEmulatedTables) {
    INFO("emulated ", std::string(table.name));
    body(*table.kernels, true);
  }
}

}  // namespace gtn::test
