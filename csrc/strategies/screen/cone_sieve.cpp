#include "strategies/screen/cone_sieve.h"

#include <algorithm>
#include <numeric>

namespace gtn {

std::span<const uint32_t> ConeSieve::all(int64_t n) {
  const size_t size = static_cast<size_t>(n), had = all_.size();
  if (had < size) {
    all_.resize(size);
    std::iota(all_.begin() + static_cast<int64_t>(had), all_.end(), static_cast<uint32_t>(had));
  }
  return {all_.data(), size};
}

std::span<const uint32_t> ConeSieve::alive(size_t frame, const ScreenQuery& q, const int8_t* codes,
                                           double cosine) {
  std::span<const uint32_t> outer = all(cones_.panel(frame, kConeLevels - 1).groups);
  Cones::View view;
  for (int level = kConeLevels; level-- > 0;) {
    if (!cones_.look(frame, level, q, codes, cosine, view)) return all(cones_.sets(frame, 0));
    std::vector<uint32_t>& inner = alive_[level];
    inner.resize(std::max(inner.size(), (outer.size() + 1) * kGroup));
    const int n =
        kernels_.sift(cones_.panel(frame, level), view.codes, view.threshold, outer.data(),
                      static_cast<int>(outer.size()), inner.data(), nullptr);
    compared_ += static_cast<int64_t>(outer.size());
    outer = {inner.data(), static_cast<size_t>(n)};
    // Of the last group some places are no sets.
    while (!outer.empty() && outer.back() >= cones_.sets(frame, level))
      outer = outer.first(outer.size() - 1);
  }
  return outer;
}

}  // namespace gtn
