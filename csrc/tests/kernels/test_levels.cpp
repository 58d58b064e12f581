// The table of levels: consistent, of what the system says this CPU has, of what the files
// of each level were compiled for.
#include <algorithm>
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

#if defined(__x86_64__)
// "-mavx512vnni" and "avx512_vnni" are the same flag.
std::string squeezed(std::string flag) {
  std::erase_if(flag, [](char c) { return c == '-' || c == '_'; });
  return flag;
}
#endif

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
  std::ifstream file("/proc/cpuinfo");
  std::set<std::string> listed;
  for (std::string line; listed.empty() && std::getline(file, line);)
    if (line.starts_with("flags") || line.starts_with("Features"))
      listed = words(line.substr(line.find(':') + 1));
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

#if defined(__x86_64__)
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
      CHECK_MESSAGE(asked.count(squeezed(flag.substr(2))) == 1, flag);
    }
  }
  CHECK_MESSAGE(n + 1 == simd_compiled().size(), "every level but scalar has its files");
}
#endif

}  // namespace gtn::test
