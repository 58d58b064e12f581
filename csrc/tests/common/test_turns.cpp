// Turns of short lists against the plain loop over all x's, and the rule of one turn.
#include <algorithm>
#include <numeric>
#include <set>
#include <vector>

#include "strategies/common/turns.h"
#include "tests/test_util.h"

namespace gtn::test {
namespace {

template <bool BestFirst>
struct PlainList {
  static constexpr bool kBestFirst = BestFirst;
  std::vector<double> cosines;
  std::vector<uint32_t> ranks;

  int64_t size() const { return static_cast<int64_t>(cosines.size()); }
  double cosine(int64_t c) const { return cosines[static_cast<size_t>(c)]; }
  uint32_t rank(int64_t c) const { return ranks[static_cast<size_t>(c)]; }
};

// n x's and y's, cosines with many ties, x's ranked in any order.
struct Market {
  size_t n;
  std::vector<uint32_t> rank;
  std::vector<std::vector<double>> cosine;

  Market(size_t count, std::mt19937_64& rng) : n(count), rank(count), cosine(count) {
    std::iota(rank.begin(), rank.end(), 0);
    std::shuffle(rank.begin(), rank.end(), rng);
    for (auto& row : cosine)
      for (size_t x = 0; x < n; ++x) row.push_back(static_cast<double>(rng() % 5) - 2.0);
  }

  // The free x's as y prefers them.
  std::vector<int64_t> preferred(size_t y, const std::vector<uint8_t>& taken) const {
    std::vector<int64_t> order;
    for (size_t x = 0; x < n; ++x)
      if (!taken[x]) order.push_back(static_cast<int64_t>(x));
    std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      return better(cosine[y][static_cast<size_t>(a)], rank[static_cast<size_t>(a)],
                    cosine[y][static_cast<size_t>(b)], rank[static_cast<size_t>(b)]);
    });
    return order;
  }
};

// Lists of k places as a search would make them: the best free ones in any order, complete
// down to the last.
struct Lists {
  int64_t k;
  std::vector<int64_t> x_row;
  std::vector<double> cosine;
  std::vector<ListLevel> level;

  Lists(size_t n, int64_t places)
      : k(places), x_row(n * static_cast<size_t>(places)), cosine(x_row.size()), level(n) {}

  void make(size_t y, const Market& market, const std::vector<uint8_t>& taken,
            std::mt19937_64& rng) {
    std::vector<int64_t> best = market.preferred(y, taken);
    level[y] = ListLevel{};
    if (best.size() > static_cast<size_t>(k)) {
      best.resize(static_cast<size_t>(k));
      const size_t last = static_cast<size_t>(best.back());
      level[y] = {market.cosine[y][last], market.rank[last]};
    }
    best.resize(static_cast<size_t>(k), -1);
    std::shuffle(best.begin(), best.end(), rng);
    for (size_t c = 0; c < best.size(); ++c) {
      const size_t at = y * best.size() + c;
      x_row[at] = best[c];
      cosine[at] =
          best[c] < 0 ? ListLevel{}.cosine : market.cosine[y][static_cast<size_t>(best[c])];
    }
  }
};

std::vector<int64_t> in_turn(const Market& market) {
  std::vector<uint8_t> taken(market.n, 0);
  std::vector<int64_t> chosen;
  for (size_t y = 0; y < market.n; ++y) {
    chosen.push_back(market.preferred(y, taken).front());
    taken[static_cast<size_t>(chosen.back())] = 1;
  }
  return chosen;
}

TEST_CASE("turns: lists choose as the loop over all x's does") {
  std::mt19937_64 rng(3);
  for (const size_t n : {1u, 2u, 9u, 40u})
    for (const int64_t k : {1, 2, 3, 50})
      for (int round = 0; round < 20; ++round) {
        const Market market(n, rng);
        const std::vector<int64_t> want = in_turn(market);
        std::vector<uint8_t> taken(n, 0);
        Lists lists(n, k);
        for (size_t y = 0; y < n; ++y) lists.make(y, market, taken, rng);
        std::vector<int64_t> chosen(n), dry;
        std::vector<double> cosine(n);
        int64_t begin = 0;
        for (;;) {
          const int64_t end =
              resolve_lists({static_cast<int64_t>(n), k, lists.x_row.data()}, lists.cosine.data(),
                            lists.level.data(), market.rank.data(), taken.data(), begin,
                            chosen.data(), cosine.data(), dry);
          // What was chosen ahead is free again.
          std::vector<uint8_t> settled(n, 0);
          for (int64_t y = 0; y < end; ++y) {
            const size_t at = static_cast<size_t>(y);
            REQUIRE(chosen[at] == want[at]);
            CHECK(cosine[at] == market.cosine[at][static_cast<size_t>(want[at])]);
            settled[static_cast<size_t>(chosen[at])] = 1;
          }
          REQUIRE(taken == settled);
          if (end == static_cast<int64_t>(n)) break;
          REQUIRE(dry.front() == end);
          CHECK(std::is_sorted(dry.begin(), dry.end()));
          CHECK(std::set<int64_t>(dry.begin(), dry.end()).size() == dry.size());
          for (const int64_t y : dry) lists.make(static_cast<size_t>(y), market, taken, rng);
          begin = end;
        }
        CHECK(dry.empty());
        if (k >= static_cast<int64_t>(n)) CHECK(begin == 0);  // whole lists never run dry
      }
}

TEST_CASE("turns: others that are probably dry are found at once") {
  // All want x 0 or x 1, and only those are listed.
  const std::vector<int64_t> x_row{0, 1, 1, 0, 0, 1, 1, 0, 2, 3};
  const std::vector<double> cosine{0.9, 0.8, 0.9, 0.8, 0.9, 0.8, 0.9, 0.8, 0.5, 0.4};
  const std::vector<ListLevel> level(5, {0.4, 0});
  const std::vector<uint32_t> rank{0, 1, 2, 3};
  std::vector<uint8_t> taken(4, 0);
  std::vector<int64_t> chosen(5), dry;
  std::vector<double> of(5);
  CHECK(resolve_lists({5, 2, x_row.data()}, cosine.data(), level.data(), rank.data(), taken.data(),
                      0, chosen.data(), of.data(), dry) == 2);
  CHECK(dry == std::vector<int64_t>{2, 3});
  CHECK(taken == std::vector<uint8_t>{1, 1, 0, 0});
}

TEST_CASE("turns: a list takes none where it is certain that no free x reaches the bound") {
  const std::vector<double> cosines{0.9, 0.5, 0.25};
  const auto best = [&](uint32_t first, const ListLevel& level, double bound) {
    return best_free(PlainList<true>{cosines, {first, 4, 3}}, level, bound);
  };
  CHECK(best(7, {0.5, 4}, 0.9).place == 0);  // the bound itself will do
  CHECK(best(kNoRank, {}, 0.5).place == 1);
  CHECK(best(kNoRank, {}, 0.6).none);
  CHECK_FALSE(best(kNoRank, {}, 0.6).dry());
  CHECK(best(kNoRank, {0.6, kNoRank}, 0.6).none);
  // An x of the bound's cosine may be missing: of a larger rank, or any.
  CHECK(best(kNoRank, {0.6, 8}, 0.6).dry());
  CHECK(best(kNoRank, {0.7, kNoRank}, 0.6).dry());
  CHECK_FALSE(best(kNoRank, {0.7, kNoRank}, 0.6).none);
  CHECK(best_free(PlainList<true>{{}, {}}, {}, -1.0).none);

  // It leaves the x's to those that come later; what was taken ahead is given back.
  const std::vector<int64_t> x_row{0, 1, 0, 1, 0, 1};
  const std::vector<double> cosine{0.4, 0.3, 0.9, 0.8, 0.4, 0.3};
  const std::vector<uint32_t> rank{0, 1};
  std::vector<uint8_t> taken(2, 0);
  std::vector<int64_t> chosen(3), dry;
  std::vector<double> of(3);
  std::vector<ListLevel> level(3);
  const ListsView lists{3, 2, x_row.data()};
  CHECK(resolve_lists(lists, cosine.data(), level.data(), rank.data(), taken.data(), 0,
                      chosen.data(), of.data(), dry, 0.5) == 3);
  CHECK(chosen == std::vector<int64_t>{-1, 0, -1});
  CHECK(std::isnan(of[0]));
  CHECK(taken == std::vector<uint8_t>{1, 0});
  taken = {0, 0};
  level[0] = {0.6, 0};
  CHECK(resolve_lists(lists, cosine.data(), level.data(), rank.data(), taken.data(), 0,
                      chosen.data(), of.data(), dry, 0.5) == 0);
  CHECK(dry == std::vector<int64_t>{0});
  CHECK(taken == std::vector<uint8_t>{0, 0});
}

TEST_CASE("turns: one list") {
  const double top = 0.75, next = 0.5;
  const auto check = [](const auto& list) {
    const auto best = [&](const ListLevel& level) { return best_free(list, level); };
    // Of equal cosines the smaller rank, wherever it stands.
    CHECK(best({}).place == 3);
    CHECK(best({}).rank == 2);
    CHECK(best({}).cosine == 0.75);
    CHECK(best({}).tie);
    // The level admits itself, and nothing behind it.
    CHECK(best({0.75, 2}).place == 3);
    CHECK(best({0.75, 1}).dry());
    CHECK(best({0.75, 3}).place == 3);
    CHECK(best({std::nextafter(0.75, 1.0), kNoRank}).dry());
    CHECK(best({std::nextafter(0.75, 0.0), 0}).place == 3);
  };
  const std::vector<double> cosines{0.9, top, top, top, next};
  const std::vector<uint32_t> ranks{kNoRank, 7, kNoRank, 2, 1};
  check(PlainList<true>{cosines, ranks});
  check(PlainList<false>{cosines, ranks});
  CHECK_FALSE(best_free(PlainList<true>{{0.9, top, next}, {kNoRank, 7, 1}}, {}).tie);
  // A tie that comes later counts, too.
  CHECK(best_free(PlainList<true>{{top, top}, {2, 7}}, {}).tie);
  CHECK(best_free(PlainList<true>{{top, top}, {2, 7}}, {}).place == 0);
  // The best comes last.
  const Choice last = best_free(PlainList<false>{{next, next, top}, {1, 2, 7}}, {});
  CHECK(last.place == 2);
  CHECK_FALSE(last.tie);
  CHECK(best_free(PlainList<true>{{0.9}, {kNoRank}}, {}).dry());
  CHECK(best_free(PlainList<false>{{}, {}}, {}).dry());
}

}  // namespace
}  // namespace gtn::test
