// Which groups of a frame may hold a column for a y: those whose cones say so.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/kernels.h"
#include "strategies/screen/cones.h"
#include "strategies/screen/query.h"

namespace gtn {

// Keeps its scratch. Each thread has its own.
class ConeSieve {
 public:
  ConeSieve(const Cones& cones, const Kernels& kernels) : cones_(cones), kernels_(kernels) {}

  // Ascending numbers of the frame's groups; all that hold a column of such a cosine or of a
  // greater one with the y are among them. Valid until the next call.
  std::span<const uint32_t> alive(size_t frame, const ScreenQuery& q, const int8_t* codes,
                                  double cosine);
  // Groups of cones that were compared with a y so far.
  int64_t compared() const { return compared_; }

 private:
  // The first n groups, all of them.
  std::span<const uint32_t> all(int64_t n);

  const Cones& cones_;
  const Kernels& kernels_;
  int64_t compared_ = 0;
  std::vector<uint32_t> all_, alive_[kConeLevels];
};

}  // namespace gtn
