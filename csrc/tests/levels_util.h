// Sweeps over the levels of this machine.
#pragma once

#include <string>

#include "kernels/levels.h"
#include "tests/test_util.h"

namespace gtn::test {

// body(level) on every level that can run here; a failure names the level.
template <class Body>
void on_every_level(const Body& body) {
  for (const SimdLevel* level : simd_usable()) {
    INFO("level ", level->name);
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
