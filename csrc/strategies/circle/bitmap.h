// A set of integers that only shrinks, with next and previous member in a few
// word operations: each level holds one bit for every 64-bit word below it.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

namespace gtn {

class ShrinkingSet {
 public:
  explicit ShrinkingSet(int64_t n) : n_(n) {
    int64_t bits = n;
    do {
      const int64_t words = (bits + 63) / 64;
      std::vector<uint64_t> level(static_cast<size_t>(words), ~uint64_t{0});
      if (bits % 64 != 0) level.back() = (uint64_t{1} << (bits % 64)) - 1;
      levels_.push_back(std::move(level));
      bits = words;
    } while (bits > 1);
  }

  void erase(int64_t i) {
    for (std::vector<uint64_t>& level : levels_) {
      uint64_t& word = level[static_cast<size_t>(i >> 6)];
      word &= ~(uint64_t{1} << (i & 63));
      if (word != 0) return;
      i >>= 6;
    }
  }

  // The smallest member >= i, or -1.
  int64_t at_or_after(int64_t i) const {
    if (i >= n_) return -1;
    size_t k = 0;
    for (;; ++k) {
      const uint64_t word = levels_[k][static_cast<size_t>(i >> 6)] >> (i & 63);
      if (word != 0) {
        i += std::countr_zero(word);
        break;
      }
      i = (i >> 6) + 1;
      if (k + 1 == levels_.size() || i >= static_cast<int64_t>(levels_[k].size())) return -1;
    }
    while (k-- > 0) i = (i << 6) + std::countr_zero(levels_[k][static_cast<size_t>(i)]);
    return i;
  }

  // The largest member <= i, or -1.
  int64_t at_or_before(int64_t i) const {
    if (i < 0) return -1;
    size_t k = 0;
    for (;; ++k) {
      const uint64_t word = levels_[k][static_cast<size_t>(i >> 6)] << (63 - (i & 63));
      if (word != 0) {
        i -= std::countl_zero(word);
        break;
      }
      i = (i >> 6) - 1;
      if (k + 1 == levels_.size() || i < 0) return -1;
    }
    while (k-- > 0) i = (i << 6) + 63 - std::countl_zero(levels_[k][static_cast<size_t>(i)]);
    return i;
  }

 private:
  int64_t n_;
  std::vector<std::vector<uint64_t>> levels_;
};

}  // namespace gtn
