#include "gtn_fast/block_policy.h"

#include <algorithm>

namespace gtn {
namespace {

constexpr int64_t kFirst = 256;
constexpr int64_t kSmallest = 32;
constexpr int64_t kLargest = 32768;
constexpr int kLongestList = 160;

constexpr int64_t kTooManyDry = 10;  // 1 / kTooManyDry of a block
constexpr int64_t kFewDry = 50;      // less than 1 / kFewDry: a larger block will do

}  // namespace

BlockPolicy::BlockPolicy(int64_t block, int64_t list_length, int wanted, int64_t share)
    : fixed_size_(block > 0),
      fixed_length_(list_length > 0),
      share_(share),
      size_(fixed_size_ ? block : kFirst),
      wanted_(fixed_length_ ? static_cast<int>(std::min<int64_t>(list_length, kLongestList))
                            : wanted) {}

void BlockPolicy::served(int64_t n, int64_t dry, int64_t free) {
  if (fixed_size_) return;
  if (dry * kTooManyDry > n) {
    if (!fixed_length_) wanted_ = std::max(wanted_, std::min(kLongestList, 2 * wanted_));
    size_ /= 2;
  } else if (dry * kFewDry < n) {
    size_ *= 4;
  }
  const int64_t most = std::min(std::max(free / share_, kSmallest), kLargest);
  size_ = std::clamp(size_, kSmallest, most);
}

void BlockPolicy::start_small() {
  if (!fixed_size_) size_ = std::min(size_, kFirst);
}

}  // namespace gtn
