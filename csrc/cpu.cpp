#include "cpu.h"

#include <atomic>
#include <cstdlib>
#include <stdexcept>

namespace gtn {
namespace {

std::atomic<int> g_active{-1};

bool present(Simd level) {
#if GTN_X86
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi2");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512dq");
  switch (level) {
    case Simd::kScalar:
      return true;
    case Simd::kAvx2:
      return avx2;
    case Simd::kAvxVnni: {
      // CPUID leaf 7, sub-leaf 1, EAX bit 4; older compilers lack the name.
      unsigned a = 0, b = 0, c = 0, d = 0;
      if (!avx2) return false;
      __asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(0), "c"(0));
      if (a < 7) return false;
      __asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(7), "c"(0));
      if (a < 1) return false;
      __asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(7), "c"(1));
      return (a >> 4) & 1;
    }
    case Simd::kAvx512:
      return avx512;
    case Simd::kAvx512Vnni:
      return avx512 && __builtin_cpu_supports("avx512vnni");
  }
  return false;
#else
  return level == Simd::kScalar;
#endif
}

std::string names(const std::vector<Simd>& levels) {
  std::string out;
  for (Simd level : levels) out += (out.empty() ? "" : ", ") + std::string(simd_name(level));
  return out;
}

Simd parse(const std::string& name) {
  for (Simd level : simd_usable())
    if (name == simd_name(level)) return level;
  for (Simd level : simd_compiled())
    if (name == simd_name(level))
      throw std::invalid_argument(
          "GTN_FAST_SIMD=" + name +
          ": this CPU lacks that instruction set; usable here: " + names(simd_usable()));
  throw std::invalid_argument(
      "GTN_FAST_SIMD=" + name +
      ": no such level in this build; usable here: " + names(simd_usable()));
}

}  // namespace

const char* simd_name(Simd level) {
  switch (level) {
    case Simd::kScalar:
      return "scalar";
    case Simd::kAvx2:
      return "avx2";
    case Simd::kAvxVnni:
      return "avxvnni";
    case Simd::kAvx512:
      return "avx512";
    case Simd::kAvx512Vnni:
      return "avx512vnni";
  }
  return "?";
}

std::vector<Simd> simd_compiled() {
#if GTN_X86
  return {Simd::kAvx512Vnni, Simd::kAvx512, Simd::kAvxVnni, Simd::kAvx2, Simd::kScalar};
#else
  return {Simd::kScalar};
#endif
}

std::vector<Simd> simd_usable() {
  std::vector<Simd> out;
  for (Simd level : simd_compiled())
    if (present(level)) out.push_back(level);
  return out;
}

Simd simd_active() {
  int level = g_active.load(std::memory_order_acquire);
  if (level < 0) {
    const char* wanted = std::getenv("GTN_FAST_SIMD");
    level = static_cast<int>(wanted && *wanted ? parse(wanted) : simd_usable().front());
    g_active.store(level, std::memory_order_release);
  }
  return static_cast<Simd>(level);
}

void simd_force(const std::string& name) {
  g_active.store(static_cast<int>(parse(name)), std::memory_order_release);
}

}  // namespace gtn
