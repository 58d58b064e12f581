// Registers as plain arrays: what immintrin.h and arm_neon.h beside this file are written in.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>

namespace gtn::emulated {

// What the CPU would answer with a fault.
inline void require(bool met, const char* what) {
  if (!met) throw std::logic_error(std::string("the CPU would refuse this: ") + what);
}

// Aligned to 16 bytes at most: compilers disagree on how more is passed.
template <class T, int N>
struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) Vector {
  static constexpr int kLanes = N;
  T lane[N];
};

template <class To, class From>
To as(const From& v) {
  return std::bit_cast<To>(v);
}

template <class V, class T>
V loaded(const T* p) {
  V out;
  std::memcpy(&out, p, sizeof out);
  return out;
}

template <class V, class T>
void stored(T* p, const V& v) {
  std::memcpy(p, &v, sizeof v);
}

template <class V, class T>
V filled(T value) {
  V out;
  for (auto& lane : out.lane) lane = value;
  return out;
}

// Lane i is f(i).
template <class V, class F>
V by_lane(const F& f) {
  V out;
  for (int i = 0; i < V::kLanes; ++i) out.lane[i] = f(i);
  return out;
}

// The sum modulo 2^32, as registers hold it.
inline int32_t wrapped(int64_t sum) { return static_cast<int32_t>(static_cast<uint64_t>(sum)); }

template <int N>
using DoublesOf = Vector<double, N>;

template <int N>
DoublesOf<N> operator+(const DoublesOf<N>& a, const DoublesOf<N>& b) {
  return by_lane<DoublesOf<N>>([&](int i) { return a.lane[i] + b.lane[i]; });
}

template <int N>
DoublesOf<N> operator+(const DoublesOf<N>& a, double b) {
  return by_lane<DoublesOf<N>>([&](int i) { return a.lane[i] + b; });
}

template <int N>
DoublesOf<N> operator*(const DoublesOf<N>& a, double b) {
  return by_lane<DoublesOf<N>>([&](int i) { return a.lane[i] * b; });
}

template <int N>
DoublesOf<N>& operator+=(DoublesOf<N>& a, const DoublesOf<N>& b) {
  return a = a + b;
}

}  // namespace gtn::emulated
