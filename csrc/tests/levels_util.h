// Sweeps over the levels of this machine.
#pragma once

#include <string>

#include "kernels/levels.h"
#include "tests/test_util.h"

namespace gtn::test {

// For messages, where doctest would print a char* as an address.
inline std::string name_of(const SimdLevel& level) { return level.name; }

// body(level) on every level that can run here; a failure names the level.
template <class Body>
void on_every_level(const Body& body) {
  for (const SimdLevel* level : simd_usable()) {
    INFO("level ", name_of(*level));
    body(*level);
  }
}

// The process's level, and that one again at the end.
class LevelKept {
 public:
  LevelKept() : name_(simd_active().name) {}
  ~LevelKept() { simd_force(name_); }
  LevelKept(const LevelKept&) = delete;
  LevelKept& operator=(const LevelKept&) = delete;

 private:
  const std::string name_;
};

}  // namespace gtn::test
