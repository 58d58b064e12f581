#include "kernels/levels.h"

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <stdexcept>

#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace gtn {
namespace {

// --- What this CPU has -----------------------------------------------------------

#if defined(__x86_64__)

struct Registers {
  unsigned a, b, c, d;
};

Registers cpuid(unsigned leaf, unsigned sub_leaf) {
  Registers r{};
  __asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(sub_leaf));
  return r;
}

// The sets of registers that the system saves when it switches threads.
unsigned saved_state() {
  constexpr unsigned kStateEnabled = 1U << 27;
  if ((cpuid(1, 0).c & kStateEnabled) == 0) return 0;
  unsigned low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

constexpr unsigned kYmm = 0x6, kZmm = 0xE6, kTiles = 0x60000, kNone = 0;

struct CpuFlag {
  const char* name;
  unsigned leaf, sub_leaf;
  unsigned Registers::* where;
  int bit;
  unsigned state;
};

constexpr CpuFlag kCpuFlags[] = {
    {"fma", 1, 0, &Registers::c, 12, kYmm},        {"avx2", 7, 0, &Registers::b, 5, kYmm},
    {"bmi2", 7, 0, &Registers::b, 8, kNone},       {"avx512f", 7, 0, &Registers::b, 16, kZmm},
    {"avx512dq", 7, 0, &Registers::b, 17, kZmm},   {"avx512bw", 7, 0, &Registers::b, 30, kZmm},
    {"avx512vl", 7, 0, &Registers::b, 31, kZmm},   {"avx512_vnni", 7, 0, &Registers::c, 11, kZmm},
    {"amx_tile", 7, 0, &Registers::d, 24, kTiles}, {"amx_int8", 7, 0, &Registers::d, 25, kTiles},
    {"avx_vnni", 7, 1, &Registers::a, 4, kYmm},
};

bool has(const CpuFlag& flag) {
  if (cpuid(0, 0).a < flag.leaf) return false;
  if (flag.sub_leaf > 0 && cpuid(flag.leaf, 0).a < flag.sub_leaf) return false;
  if (((cpuid(flag.leaf, flag.sub_leaf).*flag.where >> flag.bit) & 1) == 0) return false;
  return (saved_state() & flag.state) == flag.state;
}

// Linux keeps tile registers for processes that ask (and their forks); a signal stack too
// small for them is a reason to refuse.
bool tiles_granted() {
#if defined(__linux__)
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  static const bool granted = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return granted;
#else
  return false;
#endif
}

#elif defined(__aarch64__) && defined(__linux__)

struct CpuFlag {
  const char* name;
  unsigned long list;
  int bit;
};

constexpr CpuFlag kCpuFlags[] = {
    {"asimd", AT_HWCAP, 1}, {"asimddp", AT_HWCAP, 20}, {"i8mm", AT_HWCAP2, 13}};

bool has(const CpuFlag& flag) { return ((getauxval(flag.list) >> flag.bit) & 1) != 0; }

#elif defined(__aarch64__) && defined(__APPLE__)

struct CpuFlag {
  const char* name;
  const char* key;
};

constexpr CpuFlag kCpuFlags[] = {{"asimd", "hw.optional.neon"},
                                 {"asimddp", "hw.optional.arm.FEAT_DotProd"},
                                 {"i8mm", "hw.optional.arm.FEAT_I8MM"}};

bool has(const CpuFlag& flag) {
  int value = 0;
  size_t size = sizeof value;
  return sysctlbyname(flag.key, &value, &size, nullptr, 0) == 0 && value != 0;
}

#else

// Where nobody has said how to ask, no level but scalar is present.
struct CpuFlag {
  const char* name;
};

constexpr CpuFlag kCpuFlags[] = {{"asimd"}, {"asimddp"}, {"i8mm"}};

bool has(const CpuFlag&) { return false; }

#endif

}  // namespace

bool cpu_has(std::string_view name) {
  for (const CpuFlag& flag : kCpuFlags)
    if (name == flag.name) return has(flag);
  throw std::logic_error("no such CPU flag: " + std::string(name));
}

// --- The levels ------------------------------------------------------------------

extern const Kernels kKernelsScalar;
extern const TreeSearches kTreeSearchesScalar;
#if defined(__x86_64__)
extern const Kernels kKernelsAvx2, kKernelsAvxVnni, kKernelsAvx512, kKernelsAvx512Vnni, kKernelsAmx;
extern const TreeSearches kTreeSearchesAvx2, kTreeSearchesAvx512;
#elif defined(__aarch64__)
extern const Kernels kKernelsNeon, kKernelsNeonDot, kKernelsNeonI8mm;
#endif

namespace {

// Best first. A level's line, and its functions declared above.
constexpr SimdLevel kLevels[] = {
#if defined(__x86_64__)
    {.name = "amx",
     .fallback = "avx512vnni",
     .cpu_flags = "amx_tile amx_int8",
     .granted = tiles_granted,
     .kernels = &kKernelsAmx},
    {.name = "avx512vnni",
     .fallback = "avx512",
     .cpu_flags = "avx512_vnni",
     .kernels = &kKernelsAvx512Vnni},
    {.name = "avx512",
     .fallback = "avx2",
     .cpu_flags = "avx512f avx512bw avx512vl avx512dq",
     .kernels = &kKernelsAvx512,
     .search = &kTreeSearchesAvx512},
    {.name = "avxvnni", .fallback = "avx2", .cpu_flags = "avx_vnni", .kernels = &kKernelsAvxVnni},
    {.name = "avx2",
     .fallback = "scalar",
     .cpu_flags = "avx2 fma bmi2",
     .kernels = &kKernelsAvx2,
     .search = &kTreeSearchesAvx2},
#elif defined(__aarch64__)
    {.name = "neoni8mm", .fallback = "neondot", .cpu_flags = "i8mm", .kernels = &kKernelsNeonI8mm},
    {.name = "neondot", .fallback = "neon", .cpu_flags = "asimddp", .kernels = &kKernelsNeonDot},
    {.name = "neon", .fallback = "scalar", .cpu_flags = "asimd", .kernels = &kKernelsNeon},
#endif
    {.name = "scalar", .kernels = &kKernelsScalar, .search = &kTreeSearchesScalar},
};

const SimdLevel& named(const std::vector<SimdLevel>& levels, std::string_view name) {
  for (const SimdLevel& level : levels)
    if (name == level.name) return level;
  throw std::logic_error("no such level: " + std::string(name));
}

// The table with the fallbacks' functions in the gaps: from its end, so that they are there.
std::vector<SimdLevel> filled() {
  std::vector<SimdLevel> levels(std::begin(kLevels), std::end(kLevels));
  for (auto level = levels.rbegin(); level != levels.rend(); ++level) {
    if (level->fallback == nullptr) continue;
    const SimdLevel& fallback = named(levels, level->fallback);
    if (level->kernels == nullptr) level->kernels = fallback.kernels;
    if (level->search == nullptr) level->search = fallback.search;
  }
  return levels;
}

bool present(const SimdLevel& level) {
  std::istringstream flags(level.cpu_flags);
  for (std::string flag; flags >> flag;)
    if (!cpu_has(flag)) return false;
  if (level.fallback != nullptr && !present(named(simd_compiled(), level.fallback))) return false;
  return level.granted == nullptr || level.granted();
}

// --- Which one is used -------------------------------------------------------------

std::atomic<const SimdLevel*> g_active{nullptr};

std::string usable_names() {
  std::string out;
  for (const SimdLevel* level : simd_usable())
    out += (out.empty() ? "" : ", ") + std::string(level->name);
  return out;
}

const SimdLevel* parse(const std::string& name) {
  for (const SimdLevel& level : simd_compiled()) {
    if (name != level.name) continue;
    if (present(level)) return &level;
    throw std::invalid_argument(
        "GTN_FAST_SIMD=" + name +
        ": this CPU lacks that instruction set; usable here: " + usable_names());
  }
  throw std::invalid_argument("GTN_FAST_SIMD=" + name +
                              ": no such level in this build; usable here: " + usable_names());
}

}  // namespace

const std::vector<SimdLevel>& simd_compiled() {
  static const std::vector<SimdLevel> levels = filled();
  return levels;
}

std::vector<const SimdLevel*> simd_usable() {
  std::vector<const SimdLevel*> out;
  for (const SimdLevel& level : simd_compiled())
    if (present(level)) out.push_back(&level);
  return out;
}

const SimdLevel& simd_active() {
  const SimdLevel* level = g_active.load(std::memory_order_acquire);
  if (level == nullptr) {
    const char* wanted = std::getenv("GTN_FAST_SIMD");
    level = wanted && *wanted ? parse(wanted) : simd_usable().front();
    g_active.store(level, std::memory_order_release);
  }
  return *level;
}

void simd_force(const std::string& name) { g_active.store(parse(name), std::memory_order_release); }

}  // namespace gtn
