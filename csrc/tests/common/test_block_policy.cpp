// Sizes of blocks follow the lists that ran dry and the x's that are free.
#include "gtn_fast/block_policy.h"
#include "tests/test_util.h"

namespace gtn::test {
namespace {

constexpr int64_t kShare = 10, kPlenty = int64_t{1} << 40;

TEST_CASE("block policy: grows while no list runs dry, up to a share of the free x's") {
  BlockPolicy policy(0, 0, 3, kShare);
  const int64_t first = policy.size();
  policy.served(policy.size(), 0, kPlenty);
  CHECK(policy.size() > first);
  CHECK(policy.wanted() == 3);
  for (int i = 0; i < 40; ++i) policy.served(policy.size(), 0, kPlenty);
  const int64_t largest = policy.size();
  policy.served(policy.size(), 0, kPlenty);
  CHECK(policy.size() == largest);
  policy.served(policy.size(), 0, largest * kShare / 2);
  CHECK(policy.size() == largest / 2);
  policy.served(policy.size(), 0, 0);
  CHECK(policy.size() > 0);  // goes on to the end
}

TEST_CASE("block policy: smaller blocks and longer lists while many run dry") {
  BlockPolicy policy(0, 0, 3, kShare);
  const int64_t first = policy.size();
  policy.served(first, first, kPlenty);
  CHECK(policy.size() < first);
  CHECK(policy.wanted() > 3);
  for (int i = 0; i < 40; ++i) policy.served(policy.size(), policy.size(), kPlenty);
  const int64_t smallest = policy.size();
  const int longest = policy.wanted();
  CHECK(smallest > 0);
  policy.served(smallest, smallest, kPlenty);
  CHECK(policy.size() == smallest);
  CHECK(policy.wanted() == longest);
}

TEST_CASE("block policy: stays as it is where some lists run dry") {
  BlockPolicy policy(0, 0, 3, kShare);
  const int64_t size = policy.size();
  policy.served(100, 5, kPlenty);
  CHECK(policy.size() == size);
  CHECK(policy.wanted() == 3);
}

TEST_CASE("block policy: starts small again") {
  BlockPolicy policy(0, 0, 3, kShare);
  const int64_t first = policy.size();
  policy.served(first, 0, kPlenty);
  policy.start_small();
  CHECK(policy.size() == first);
  policy.served(first, first, kPlenty);
  const int64_t smaller = policy.size();
  policy.start_small();
  CHECK(policy.size() == smaller);
}

TEST_CASE("block policy: what the caller fixed stays") {
  BlockPolicy block(1000, 0, 3, kShare);
  BlockPolicy length(0, 7, 3, kShare);
  CHECK(block.size() == 1000);
  CHECK(length.wanted() == 7);
  for (const int64_t dry : {0, 1000}) {
    block.served(1000, dry, kPlenty);
    length.served(1000, dry, kPlenty);
    block.start_small();
    CHECK(block.size() == 1000);
    CHECK(block.wanted() == 3);
    CHECK(length.wanted() == 7);
  }
}

}  // namespace
}  // namespace gtn::test
