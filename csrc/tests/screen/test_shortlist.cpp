// Short lists against what shortlist.h promises: complete down to their level, exact
// and in order, whatever the bounds and ties.
#include <algorithm>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "strategies/screen/shortlist.h"
#include "tests/test_util.h"

namespace gtn::test {
namespace {

struct TableExact final : Exact {
  std::vector<double> value;
  std::vector<uint32_t> heads;
  double cosine(uint32_t item) override { return value[item]; }
  void prefetch(uint32_t) override {}
  uint32_t head(uint32_t item) const override { return heads[item]; }
};

// Values with many ties, values that differ in their last bit, or any.
TableExact random_values(size_t n, uint64_t shape, std::mt19937_64& rng) {
  std::uniform_real_distribution<double> uniform(-1.0, 1.0);
  TableExact table;
  for (size_t i = 0; i < n; ++i) {
    double v = uniform(rng);
    if (shape == 0) v = static_cast<double>(rng() % 4) / 4.0;
    if (shape == 1) v = 0.5 + static_cast<double>(rng() % 6) * 0x1p-53;
    if (shape == 2) v = 0.25;
    table.value.push_back(v);
    table.heads.push_back(static_cast<uint32_t>(i));
  }
  std::shuffle(table.heads.begin(), table.heads.end(), rng);
  return table;
}

struct ListCase {
  size_t n;
  int wanted, least, most;
  double width, floor;
  std::string text() const {
    return "n=" + std::to_string(n) + " wanted=" + std::to_string(wanted) +
           " least=" + std::to_string(least) + " most=" + std::to_string(most) +
           " width=" + std::to_string(width) + " floor=" + std::to_string(floor);
  }
};

// Every item a level admits stands in front, exact and in the total order.
void check_complete(const TableExact& table, const std::vector<uint32_t>& sorted,
                    const std::vector<Candidate>& list, int32_t exact, const ListLevel& level,
                    const std::string& what) {
  size_t admitted = 0;
  while (admitted < sorted.size() &&
         level.admits(table.value[sorted[admitted]], table.heads[sorted[admitted]]))
    ++admitted;
  CHECK_MESSAGE(static_cast<size_t>(exact) == admitted, what, ": ", exact, " exact, ", admitted,
                " admitted");
  for (size_t i = 0; i < admitted && i < static_cast<size_t>(exact); ++i)
    CHECK_MESSAGE((list[i].item == sorted[i] && list[i].cosine == table.value[sorted[i]]), what,
                  ": place ", i);
}

void check_shortlist(const ListCase& c, uint64_t shape, std::mt19937_64& rng, Shortlist& list) {
  TableExact table = random_values(c.n, shape, rng);
  std::uniform_real_distribution<double> uniform(0.0, c.width);
  std::vector<uint32_t> sorted;
  for (uint32_t i = 0; i < c.n; ++i) sorted.push_back(i);
  std::sort(sorted.begin(), sorted.end(), [&](uint32_t a, uint32_t b) {
    return better(table.value[a], table.heads[a], table.value[b], table.heads[b]);
  });
  list.reset(c.wanted, c.floor);
  for (uint32_t i = 0; i < c.n; ++i) {
    const double v = table.value[i];
    if (i % 5 == 4 || c.width == 0.0) {
      if (v >= list.threshold()) list.add_exact(v, i, table.heads[i]);
    } else {
      const double upper = v + uniform(rng), lower = v - uniform(rng);
      if (upper >= list.threshold()) list.add(upper, lower, i);
    }
    if (list.full()) list.shrink(table, 1.0);
  }
  // One place more than there is room for shows a write past the end.
  std::vector<Candidate> out(static_cast<size_t>(c.most) + 1, {-7.0, 777});
  ListState state = list.finish(table, c.least, c.most, out.data());
  const std::string what = c.text() + " shape=" + std::to_string(shape);
  CHECK_MESSAGE((0 <= state.exact && state.exact <= state.total && state.total <= c.most), what,
                ": ", state.exact, " of ", state.total);
  CHECK_MESSAGE(out.back().item == 777, what, ": writes past the end");
  check_complete(table, sorted, out, state.exact, state.level, what);
  // A search has to get at least its y's best, or the y would search for ever.
  CHECK_MESSAGE((state.exact > 0 || table.value[sorted[0]] < c.floor), what, ": nothing");
  std::set<uint32_t> items;
  for (int32_t i = 0; i < state.total; ++i) {
    const Candidate& candidate = out[static_cast<size_t>(i)];
    CHECK_MESSAGE(items.insert(candidate.item).second, what, ": twice");
    CHECK_MESSAGE(candidate.cosine >= table.value[candidate.item], what, ": not a bound");
  }
  for (const uint32_t item : sorted)
    if (state.deep_level.admits(table.value[item], table.heads[item]))
      CHECK_MESSAGE(items.count(item) == 1, what, ": incomplete above the deep level");
  const int32_t before = state.exact;
  deepen(table, out.data(), state);
  CHECK_MESSAGE((state.exact >= before && state.exact == state.total), what, ": deepened from ",
                before, " to ", state.exact);
  check_complete(table, sorted, out, state.exact, state.level, what + " deepened");
  // All the wanted ones, if the bounds and ties leave them room.
  const int roomy = 4 * c.wanted + 16;
  if (shape == 3 && c.width < 1e-6 && c.most >= roomy) {
    int reach = 0;
    for (const double v : table.value) reach += v >= c.floor;
    CHECK_MESSAGE(state.exact >= std::min(c.wanted, reach), what, ": ", state.exact,
                  " of the wanted");
  }
}

TEST_CASE("shortlist: complete down to its level, exact and in order") {
  std::mt19937_64 rng(17);
  Shortlist list;  // kept between lists, as a search does
  constexpr double kNone = -std::numeric_limits<double>::infinity();
  for (const size_t n : {1u, 2u, 5u, 31u, 32u, 33u, 200u, 321u, 1500u})
    for (const int wanted : {1, 2, 4, 40})
      for (const double width : {0.0, 1e-16, 1e-9, 0.01, 0.3, 3.0})
        for (const double floor : {kNone, -1e9, 0.5, 0.9, 2.0})
          for (uint64_t shape = 0; shape < 4; ++shape)
            for (const int most : {1, 2, 3, 4 * wanted + 16}) {
              if (kReduced && rng() % 4 != 0) continue;
              for (const int least : {1, 3})
                check_shortlist({n, wanted, least, most, width, floor}, shape, rng, list);
            }
}

}  // namespace

}  // namespace gtn::test
