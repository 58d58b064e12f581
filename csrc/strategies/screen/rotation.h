// A fixed orthogonal transform that spreads a vector's energy over all of its
// coordinates: two rounds of random signs, Hadamard blocks and a permutation.
// Codes with one scale per frame then waste no bits on a few large coordinates.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/kernels.h"

namespace gtn {

class Rotation {
 public:
  Rotation(int64_t d, const Kernels& kernels);
  // In place; scratch has room for d values. Norms and dot products change by rounding only, at
  // most by error() times the norms.
  void apply(double* v, double* scratch) const;
  double error() const;

 private:
  void round(double* v, const std::vector<double>& signs) const;

  const Kernels& kernels_;
  std::vector<int64_t> blocks_;   // powers of two that sum to d
  std::vector<double> signs_[2];  // with the blocks' 1/sqrt(length)
  std::vector<int32_t> permutation_;
};

}  // namespace gtn
