// The loss of a small ĥ on a batch, and its gradient (section 2 and table 2 of the paper).
//
// Layers 50 wide on batches of 128 take a framework longer to administer than to compute.
// Unlike a matching, a training is the same on one machine, not on all: sums are grouped as
// the instruction set likes them.
#pragma once

#include <cstdint>
#include <vector>

namespace gtn {

// `layers` times Linear -> LeakyReLU -> batch norm (on the first `norms` of them), `width`
// wide; then a linear output. Input and output have d values.
struct HHatShape {
  int64_t d = 1, layers = 1, width = 1, norms = 0;
  float slope = 0.5F;  // >= 0
  float eps = 1e-5F, momentum = 0.1F;

  [[gnu::always_inline]] int64_t inputs(int64_t layer) const { return layer == 0 ? d : width; }
  [[gnu::always_inline]] int64_t outputs(int64_t layer) const {
    return layer == layers ? d : width;
  }
  [[gnu::always_inline]] int64_t widest() const { return d > width ? d : width; }
  int64_t parameters() const;  // how many numbers
};

// One batch. parameters and gradient: the weight (outputs x inputs, row-major), the bias and,
// with batch norm, scale and shift, layer by layer. running_mean, running_var: norms x width.
// y, x: rows x d.
struct HHatBatch {
  const float* parameters = nullptr;
  float* gradient = nullptr;  // overwritten
  float* running_mean = nullptr;
  float* running_var = nullptr;  // both moved as by a forward pass in training mode
  const float* y = nullptr;
  const float* x = nullptr;
  int64_t rows = 0;
};

class HHatGradient {
 public:
  explicit HHatGradient(const HHatShape& shape) : shape_(shape) {}

  const HHatShape& shape() const { return shape_; }

  // The loss: the mean of (ĥ(y) - x)^2. rows >= 1, >= 2 with batch norm.
  float operator()(const HHatBatch& batch);

 private:
  HHatShape shape_;
  std::vector<float> work_;
};

}  // namespace gtn
