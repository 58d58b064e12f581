#include "kernels/cpu.h"

#include <atomic>
#include <cstdlib>
#include <stdexcept>

#if GTN_X86 && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace gtn {
namespace {

std::atomic<int> g_active{-1};

#if GTN_X86

struct Registers {
  unsigned a, b, c, d;
};

Registers cpuid(unsigned leaf, unsigned sub_leaf) {
  Registers r{};
  __asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(sub_leaf));
  return r;
}

// Whether the CPU has tiles of 8-bit codes and the system keeps their registers for us.
// Linux does so for processes that ask (and their forks); a signal stack too small for the
// registers is a reason to refuse.
bool tiles_granted() {
#if defined(__linux__)
  constexpr unsigned kTileAndInt8 = 3U << 24, kStateEnabled = 1U << 27, kTileState = 3U << 17;
  if (cpuid(0, 0).a < 7 || (cpuid(7, 0).d & kTileAndInt8) != kTileAndInt8) return false;
  if ((cpuid(1, 0).c & kStateEnabled) == 0) return false;
  unsigned low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  if ((low & kTileState) != kTileState) return false;
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  static const bool granted = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return granted;
#else
  return false;
#endif
}

#endif

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
      // Leaf 7, sub-leaf 1, EAX bit 4; older compilers lack the name.
      return avx2 && cpuid(0, 0).a >= 7 && cpuid(7, 0).a >= 1 && ((cpuid(7, 1).a >> 4) & 1);
    }
    case Simd::kAvx512:
      return avx512;
    case Simd::kAvx512Vnni:
      return avx512 && __builtin_cpu_supports("avx512vnni");
    case Simd::kAmx:
      return present(Simd::kAvx512Vnni) && tiles_granted();
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
    case Simd::kAmx:
      return "amx";
  }
  return "?";
}

std::vector<Simd> simd_compiled() {
#if GTN_X86
  return {Simd::kAmx, Simd::kAvx512Vnni, Simd::kAvx512, Simd::kAvxVnni, Simd::kAvx2, Simd::kScalar};
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
