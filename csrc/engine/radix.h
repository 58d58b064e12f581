// Stable parallel radix sorting of 64-bit keys: norms, angles and hashes.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace gtn {

class Team;

// Storage that the first writer touches, on the thread that writes it.
template <class T>
std::unique_ptr<T[]> uninitialized(int64_t n) {
  return std::unique_ptr<T[]>(new T[static_cast<size_t>(n)]);
}

// Sorts items by the 32 bits above bit 32, equal ones in their present order.
// `other` has room for n items too; returns the one of the two that holds the
// result. A digit that all items share costs a counting pass, no copy.
uint64_t* radix_sort_high32(uint64_t* items, uint64_t* other, int64_t n, Team& team);

// order[i] = index of the i-th smallest key; equal keys in index order. n < 2^32.
std::vector<uint32_t> stable_order(const uint64_t* keys, int64_t n, Team& team);

}  // namespace gtn
