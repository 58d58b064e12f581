#include "strategies/screen/rotation.h"

#include <cmath>
#include <numeric>
#include <utility>

namespace gtn {
namespace {

constexpr int64_t kSmallestDim = 8;  // below, there is nothing to spread

// The same numbers everywhere (Steele et al. 2014, SplitMix64).
uint64_t next_random(uint64_t& state) {
  uint64_t z = (state += 0x9E3779B97F4A7C15u);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

}  // namespace

Rotation::Rotation(int64_t d, const Kernels& kernels) : kernels_(kernels) {
  if (d < kSmallestDim) return;
  for (int64_t left = d; left > 0;) {
    int64_t block = 1;
    while (2 * block <= left) block *= 2;
    blocks_.push_back(block);
    left -= block;
  }
  uint64_t state = 1;
  for (std::vector<double>& signs : signs_)
    for (int64_t block : blocks_)
      for (int64_t i = 0; i < block; ++i)
        signs.push_back((next_random(state) & 1 ? 1.0 : -1.0) /
                        std::sqrt(static_cast<double>(block)));
  permutation_.resize(static_cast<size_t>(d));
  std::iota(permutation_.begin(), permutation_.end(), 0);
  for (size_t i = permutation_.size(); i > 1; --i)
    std::swap(permutation_[i - 1], permutation_[next_random(state) % i]);
}

void Rotation::round(double* v, const std::vector<double>& signs) const {
  for (size_t i = 0; i < signs.size(); ++i) v[i] *= signs[i];
  for (int64_t block : blocks_) {
    kernels_.hadamard(v, block);
    v += block;
  }
}

void Rotation::apply(double* v, double* scratch) const {
  if (blocks_.empty()) return;
  round(v, signs_[0]);
  for (size_t i = 0; i < permutation_.size(); ++i)
    scratch[i] = v[static_cast<size_t>(permutation_[i])];
  for (size_t i = 0; i < permutation_.size(); ++i) v[i] = scratch[i];
  round(v, signs_[1]);
}

double Rotation::error() const {
  // Per round: log2(block) additions and one product, each with a relative error of eps of a norm
  // that the orthogonal step keeps; and the rounding of the scale 1 / sqrt(block).
  const double levels = blocks_.empty() ? 0.0 : std::log2(static_cast<double>(blocks_[0])) + 4.0;
  return 4.0 * levels * 0x1p-53;
}

}  // namespace gtn
