// Floors follow the lists: below where most of them end, higher or lower as they do.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "strategies/screen/floor.h"
#include "tests/test_util.h"

namespace gtn::test {
namespace {

constexpr size_t kLists = 200;
constexpr int64_t kMany = 1000 * static_cast<int64_t>(kLists);  // survivors of a flooded block
constexpr double kNowhere = -std::numeric_limits<double>::infinity();

// Of every y its own mean and unit.
std::vector<CosineScale> scales() {
  std::vector<CosineScale> scale;
  for (size_t i = 0; i < kLists; ++i)
    scale.push_back({0.01 * static_cast<double>(i % 7), 0.1 + 0.01 * static_cast<double>(i % 5)});
  return scale;
}

// Lists that end at heights from `low` to `high`.
std::vector<double> levels(const std::vector<CosineScale>& scale, double low, double high) {
  std::vector<double> level;
  for (size_t i = 0; i < scale.size(); ++i)
    level.push_back(scale[i].cosine(low + (high - low) * static_cast<double>(i * 37 % kLists) /
                                              static_cast<double>(kLists - 1)));
  return level;
}

double after(FloorRule& rule, const std::vector<double>& level) {
  CHECK_FALSE(rule.learn(scales(), level, 0, true));
  return rule.floor().height;
}

TEST_CASE("floor: below most lists, near them, in their units") {
  FloorRule rule;
  CHECK(rule.floor().height == kNowhere);
  const double first = after(rule, levels(scales(), 2.0, 3.0));
  CHECK(first < 2.1);
  CHECK(first > 1.5);
  const double higher = after(rule, levels(scales(), 4.0, 5.0));
  CHECK(higher > first + 1.0);
  CHECK(higher < 4.1);
}

TEST_CASE("floor: falls while lists do not rise above it") {
  FloorRule rule;
  double height = after(rule, levels(scales(), 2.0, 3.0));
  for (int block = 0; block < 5; ++block) {
    const double lower = after(rule, levels(scales(), height, height));
    CHECK(lower < height);
    height = lower;
  }
}

TEST_CASE("floor: nowhere after lists that hold all there is, and back") {
  FloorRule rule;
  const std::vector<double> none(kLists, kNowhere);
  CHECK(after(rule, none) == kNowhere);
  CHECK(after(rule, none) == kNowhere);
  std::vector<double> some = levels(scales(), 2.0, 3.0);
  std::fill_n(some.begin(), kLists / 4, kNowhere);
  CHECK(after(rule, some) == kNowhere);
  CHECK(after(rule, levels(scales(), 2.0, 3.0)) > 1.5);
}

TEST_CASE("floor: units are measured after floods in a row") {
  const std::vector<double> level = levels(scales(), 2.0, 3.0);
  FloorRule rule, narrow, calm;
  int64_t survivors = 0, of_calm = 0;
  int changes = 0;
  for (int block = 0; block < 20; ++block) {
    survivors += kMany;
    if (block % 2 == 0) of_calm += kMany;
    const bool changed = rule.learn(scales(), level, survivors, true);
    if (changed) {
      CHECK(block > 0);
      CHECK(rule.floor().height == kNowhere);
    }
    changes += changed;
    CHECK(rule.floor().sampled == (changes > 0));
    CHECK_FALSE(narrow.learn(scales(), level, survivors, false));
    CHECK_FALSE(calm.learn(scales(), level, of_calm, true));
  }
  CHECK(changes == 1);
  CHECK_FALSE(narrow.floor().sampled);
  CHECK_FALSE(calm.floor().sampled);
  CHECK(std::isfinite(rule.floor().height));
}

}  // namespace
}  // namespace gtn::test
