// What a short list may drop before all items were offered.
#include <cmath>
#include <cstdint>
#include <vector>

#include "strategies/screen/shortlist.h"
#include "tests/test_util.h"

namespace gtn::test {
namespace {

// Items by falling cosine: item i has 1 - i / 100.
struct Falling final : Exact {
  double cosine(uint32_t item) override { return 1.0 - item / 100.0; }
  void prefetch(uint32_t) override {}
  uint32_t head(uint32_t item) const override { return item; }
};

}  // namespace

// Of a fair share of the items, so many of the wanted ones are kept, rounded up; with less
// lists would run dry. And no more, or lists would not rise while they are short of items.
TEST_CASE("shortlist: keeps its share of the wanted, rounded up") {
  Falling exact;
  for (const int wanted : {1, 3, 4, 7, 40})
    for (const double seen : {0.001, 0.1, 0.25, 0.26, 0.5, 0.6, 0.75, 0.9, 1.0}) {
      CAPTURE(wanted);
      CAPTURE(seen);
      Shortlist list;
      list.reset(wanted, -2.0);
      for (uint32_t item = 0; item < 60; ++item) {
        const double cosine = exact.cosine(item);
        list.add(cosine + 1e-6, cosine - 1e-6, item);
      }
      list.shrink(exact, seen);
      uint32_t share = 1;
      while (share < seen * wanted) ++share;
      const double last = exact.cosine(share - 1);
      CHECK(list.threshold() == last - 1e-6);
      std::vector<Candidate> out(200);
      const ListState state = list.finish(exact, 1, 200, out.data());
      CHECK(state.total == static_cast<int32_t>(share));
      for (uint32_t i = 0; i < share; ++i) CHECK(out[i].item == i);
    }
}

}  // namespace gtn::test
