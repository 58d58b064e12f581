// Numbers for the tests of kernels: sizes on lane boundaries, one below and one above,
// misaligned buffers that end where the data ends (so that the address sanitizer sees
// a read past them).
#pragma once

#include <bit>
#include <cmath>
#include <random>
#include <vector>

#include "tests/test_util.h"

namespace gtn::test {

inline const std::vector<int64_t> kSizes = {1,  2,  3,  4,  5,  6,  7,  8,   9,   15,  16,  17,
                                            31, 32, 33, 63, 64, 65, 66, 100, 255, 256, 257, 1024};

// -2..2 in steps of 1/64: sums of thousands of products are exact, in any order.
inline double sixty_fourth(std::mt19937_64& rng) {
  return (static_cast<double>(rng() % 257) - 128.0) / 64.0;
}

enum Values { kExact, kNormal, kWide, kValueKinds };

inline double draw(Values kind, std::mt19937_64& rng) {
  std::normal_distribution<double> normal;
  if (kind == kExact) return sixty_fourth(rng);
  const double v = normal(rng);
  return kind == kNormal ? v : v * std::pow(10.0, static_cast<double>(rng() % 60) - 30.0);
}

// `size` values that start `offset` elements into an allocation and end with it.
template <class T>
struct Offset {
  std::vector<T> all;
  size_t offset;

  Offset(int64_t size, size_t start) : all(start + static_cast<size_t>(size)), offset(start) {}
  T* data() { return all.data() + offset; }
  T& operator[](int64_t i) { return all[offset + static_cast<size_t>(i)]; }
};

template <class T>
Offset<T> random_values(int64_t d, size_t offset, Values kind, std::mt19937_64& rng) {
  Offset<T> out(d, offset);
  for (int64_t i = 0; i < d; ++i) out[i] = static_cast<T>(draw(kind, rng));
  return out;
}

inline bool same(double a, double b) {
  return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b);
}

// The order of direction.h: element i belongs to lane i mod 8.
template <class Product>
double in_lanes(int64_t d, const Product& product) {
  double lane[8] = {};
  for (int64_t i = 0; i < d; ++i) lane[i % 8] += product(i);
  double s[4], t[2];
  for (int j = 0; j < 4; ++j) s[j] = lane[j] + lane[j + 4];
  for (int j = 0; j < 2; ++j) t[j] = s[j] + s[j + 2];
  return t[0] + t[1];
}

}  // namespace gtn::test
