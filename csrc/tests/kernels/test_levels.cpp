// The table of levels: consistent, of what the system says this CPU has, of what the files
// of each level were compiled for.
#include <algorithm>
#include <cstdint>
#include <fstream>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tests/levels_util.h"

namespace gtn::test {
namespace {

std::string squeezed(std::string flag) {
  std::erase_if(flag, [](char c) { return c == '-' || c == '_'; });
  return flag;
}

std::set<std::string> words(const std::string& text) {
  std::istringstream in(text);
  std::set<std::string> out;
  for (std::string word; in >> word;) out.insert(word);
  return out;
}

const SimdLevel* find_level(std::string_view name) {
  for (const SimdLevel& level : simd_compiled())
    if (name == level.name) return &level;
  return nullptr;
}

// The level, its fallback, the fallback's, to the end.
std::vector<const SimdLevel*> chain(const SimdLevel& level) {
  std::vector<const SimdLevel*> out{&level};
  while (out.back()->fallback != nullptr) {
    const SimdLevel* next = find_level(out.back()->fallback);
    REQUIRE_MESSAGE(next != nullptr, name_of(*out.back()), " falls back to ",
                    std::string(out.back()->fallback));
    REQUIRE_MESSAGE(next > out.back(), name_of(*out.back()), ": its fallback stands before it");
    out.push_back(next);
  }
  return out;
}

bool is_usable(const SimdLevel& level) {
  const std::vector<const SimdLevel*> usable = simd_usable();
  return std::find(usable.begin(), usable.end(), &level) != usable.end();
}

// The CPU's flags by the system's list.
[[maybe_unused]] std::set<std::string> listed_flags() {
#if defined(__aarch64__)
  const std::string title = "Features";
#else
  const std::string title = "flags";
#endif
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(title)) return words(line.substr(line.find(':') + 1));
  std::set<std::string> flags;
#if defined(__aarch64__) && defined(__linux__)
  // Under an emulator the file may be of another CPU. Then the CPU's registers say it, which Linux
  // lets processes read.
  uint64_t processor, first, second;
  __asm__("mrs %0, id_aa64pfr0_el1" : "=r"(processor));
  __asm__("mrs %0, id_aa64isar0_el1" : "=r"(first));
  __asm__("mrs %0, id_aa64isar1_el1" : "=r"(second));
  if ((processor >> 20 & 15) != 15) flags.insert("asimd");
  if ((first >> 44 & 15) != 0) flags.insert("asimddp");
  if ((second >> 52 & 15) != 0) flags.insert("i8mm");
#endif
  return flags;
}

// What a level has to ask for, by the compiler's flag: "-mavx512vnni" and "avx512_vnni" are the
// same, "-march=armv8.2-a+dotprod" is "asimd asimddp".
[[maybe_unused]] std::set<std::string> needed_by(const std::string& flag) {
  if (!flag.starts_with("-march=armv8") && !flag.starts_with("-mcpu=generic"))
    return {squeezed(flag.substr(2))};
  std::set<std::string> out{"asimd"};
  std::string extensions = flag;
  std::replace(extensions.begin(), extensions.end(), '+', ' ');
  for (const std::string& word : words(extensions))
    if (word != flag.substr(0, flag.find('+'))) out.insert(word == "dotprod" ? "asimddp" : word);
  return out;
}

}  // namespace

TEST_CASE("levels: the table is consistent") {
  std::string here, lacking;
  std::set<std::string> names;
  for (const SimdLevel& level : simd_compiled()) {
    INFO("level ", name_of(level));
    CHECK(names.insert(level.name).second);
    CHECK(level.kernels != nullptr);
    CHECK(level.search != nullptr);
    for (int d = 2; d <= kTreeMaxDim; ++d) CHECK((level.search->by_cosine[d] != nullptr));
    for (int d = 1; d <= kTreeMaxDim; ++d) CHECK((level.search->by_distance[d] != nullptr));
    CHECK(std::string_view(chain(level).back()->name) == "scalar");
    (is_usable(level) ? here : lacking) += std::string(" ") + level.name;
  }
  CHECK(std::string_view(simd_compiled().back().name) == "scalar");
  REQUIRE(!simd_usable().empty());
  CHECK(simd_usable().back() == &simd_compiled().back());
  MESSAGE("levels that run here:", here, "; compiled, but this machine lacks:", lacking);
}

TEST_CASE("levels: a level is forced, or refused by name") {
  const LevelKept kept;
  for (const SimdLevel& level : simd_compiled()) {
    INFO("level ", name_of(level));
    if (is_usable(level)) {
      simd_force(level.name);
      CHECK(&simd_active() == &level);
      CHECK(&kernels() == level.kernels);
    } else {
      CHECK_THROWS_AS(simd_force(level.name), std::invalid_argument);
    }
  }
  const SimdLevel& active = simd_active();
  std::string message;
  try {
    simd_force("sse9");
  } catch (const std::invalid_argument& error) {
    message = error.what();
  }
  CHECK_MESSAGE(message.find("sse9") != std::string::npos, message);
  for (const SimdLevel* level : simd_usable())
    CHECK_MESSAGE(message.find(level->name) != std::string::npos, message);
  CHECK_MESSAGE(&simd_active() == &active, "a refused level changes nothing");
  CHECK_THROWS_AS(cpu_has("no_such_flag"), std::logic_error);
}

#if defined(__linux__) && (defined(__x86_64__) || defined(__aarch64__))
TEST_CASE("levels: the CPU has what the system's own list says") {
  const std::set<std::string> listed = listed_flags();
  REQUIRE(!listed.empty());
  for (const SimdLevel& level : simd_compiled()) {
    INFO("level ", name_of(level));
    bool all = true;
    for (const SimdLevel* each : chain(level)) {
      for (const std::string& flag : words(each->cpu_flags)) {
        CHECK_MESSAGE(cpu_has(flag) == (listed.count(flag) == 1), flag);
        all = all && listed.count(flag) == 1;
      }
      if (all && each->granted != nullptr) all = each->granted();
    }
    CHECK(is_usable(level) == all);
  }
}
#endif

#if defined(__x86_64__) || defined(__aarch64__)
// A flag left out of the table would be noticed only on a CPU that lacks it alone.
TEST_CASE("levels: a level asks for all that its files were compiled for") {
  std::istringstream lines(GTN_KERNEL_FLAGS);
  size_t n = 0;
  for (std::string line; std::getline(lines, line, ','); ++n) {
    INFO("kernel files of ", line);
    const size_t colon = line.find(':');
    REQUIRE(colon != std::string::npos);
    const SimdLevel* level = find_level(line.substr(0, colon));
    REQUIRE(level != nullptr);
    std::set<std::string> asked;
    for (const SimdLevel* each : chain(*level))
      for (const std::string& flag : words(each->cpu_flags)) asked.insert(squeezed(flag));
    for (const std::string& flag : words(line.substr(colon + 1))) {
      REQUIRE(flag.starts_with("-m"));
      for (const std::string& need : needed_by(flag))
        CHECK_MESSAGE(asked.count(need) == 1, flag, " needs ", need);
    }
  }
  CHECK_MESSAGE(n + 1 == simd_compiled().size(), "every level but scalar has its files");
}
#endif

}  // namespace gtn::test
