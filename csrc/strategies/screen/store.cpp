#include "strategies/screen/store.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>

#include "strategies/screen/row_exact.h"

namespace gtn {
namespace {

constexpr double kEps = 0x1p-53;

// A frame is narrow if its radius is at most so many times the slack of all bounds: with what
// rounding does to directions, codes could not tell its columns apart.
constexpr double kNarrow = 64.0;

constexpr size_t kMeanSample = 1024;  // columns whose mean is the centre of all frames

}  // namespace

ScreenStore::ScreenStore(const Problem& problem, const ScreenVectors& vectors,
                         const FreeItems& items, const Kernels& kernels, std::string scratch)
    : problem_(problem),
      vectors_(vectors),
      items_(items),
      kernels_(kernels),
      rotation_(vectors.dims(), kernels),
      d_(vectors.dims()),
      steps_(static_cast<int32_t>((vectors.dims() + kStepDims - 1) / kStepDims)),
      x_limit_(kernels.x_max),
      y_limit_(kernels.y_max),
      scratch_(std::move(scratch)),
      cones_(d_, kernels.x_max, kernels.y_max) {
  // Very wide rows get coarser codes, so that no 32-bit sum can overflow.
  while (2.0 * x_limit_ * y_limit_ * static_cast<double>(d_) >= kScoreLimit) {
    if (x_limit_ <= 1 && y_limit_ <= 1)
      throw std::invalid_argument("screen: d = " + std::to_string(d_) + " is too large");
    x_limit_ = std::max(1, x_limit_ / 2);
    y_limit_ = std::max(1, y_limit_ / 2);
  }
  // A length (code_norm, residual, rest, radius) is the root of a sum of d squares: rounding
  // changes it by at most (d / 2 + 2) kEps of itself, and it is at most 2. Residual, rest and
  // radius get the slack on top; code_norm's error, times a residual, is at most (d + 4) kEps.
  // The base is a sum of d products, the exact cosine one in lanes of d / 8: with what is added
  // to them at most (1.125 d + 20) kEps. Less than 2.2 (d + 64) in all; four is on the safe side.
  slack_ = 4.0 * (static_cast<double>(d_) + 64.0) * kEps + 2.0 * rotation_.error();
  column_of_.resize(static_cast<size_t>(items.count()));
}

int64_t ScreenStore::bytes() const {
  return groups_capacity_ * (int64_t{steps_} * 64 + kGroup * 8 + 12) +
         static_cast<int64_t>(column_of_.size()) * 4 + cones_.bytes() +
         (static_cast<int64_t>(centers_.size()) + exact_size_) * 8;
}

void ScreenStore::pack(const Layout& layout, Team& team) {
  neighbours_ = layout.neighbours;
  const size_t n_frames = layout.frame_begin.size() - 1;
  // Keep the free items of each frame, in place in a copy of the permutation.
  std::vector<uint32_t> packed;
  packed.reserve(layout.items.size());
  frames_.clear();
  std::vector<int64_t> begin;
  int64_t groups = 0;
  for (size_t f = 0; f < n_frames; ++f) {
    const size_t first = packed.size();
    for (int64_t i = layout.frame_begin[f]; i < layout.frame_begin[f + 1]; ++i)
      if (items_.free(layout.items[static_cast<size_t>(i)]))
        packed.push_back(layout.items[static_cast<size_t>(i)]);
    if (packed.size() == first) continue;
    Frame frame;
    frame.first_group = groups;
    frame.center = layout.one_center ? 0 : static_cast<int32_t>(frames_.size());
    frame.columns = static_cast<int32_t>(packed.size() - first);
    groups += frame.groups();
    frames_.push_back(frame);
    begin.push_back(static_cast<int64_t>(first));
  }
  columns_ = static_cast<int64_t>(packed.size());
  if (groups > groups_capacity_) {
    if (groups * kGroup >= int64_t{kNoRank})
      throw std::invalid_argument("screen: too many columns");
    codes_ = Pages();
    codes_ = Pages(static_cast<size_t>(groups) * static_cast<size_t>(steps_) * 64, scratch_);
    groups_capacity_ = groups;
    bias_.resize(static_cast<size_t>(groups) * kGroup);
    item_at_.resize(static_cast<size_t>(groups) * kGroup);
    exact_at_.resize(static_cast<size_t>(groups));
    least_head_.resize(static_cast<size_t>(groups));
  }
  cones_.clear();
  if (layout.cones) {
    std::vector<int64_t> columns;
    for (const Frame& frame : frames_) columns.push_back(frame.columns);
    cones_.resize(columns);
  }
  one_center_ = layout.one_center;
  if (one_center_) {
    find_mean(packed);
    centers_ = mean_;
  } else {
    centers_.assign(frames_.size() * static_cast<size_t>(d_), 0.0);
  }
  std::vector<Scratch> scratch(static_cast<size_t>(team.size()));
  team.for_chunks(static_cast<int64_t>(frames_.size()), 1, [&](int64_t f, int64_t, int thread) {
    pack_frame(static_cast<size_t>(f), packed.data() + begin[static_cast<size_t>(f)],
               scratch[static_cast<size_t>(thread)]);
  });
  store_points(team);
  if (one_center_) return;
  mean_.assign(static_cast<size_t>(d_), 0.0);
  for (size_t f = 0; f < frames_.size(); ++f) {
    const double share = frames_[f].columns / static_cast<double>(columns_);
    for (size_t k = 0; k < mean_.size(); ++k) mean_[k] += share * center(f)[k];
  }
}

void ScreenStore::store_points(Team& team) {
  exact_size_ = 0;
  for (const Frame& frame : frames_)
    for (int64_t g = frame.first_group; g < frame.first_group + frame.groups(); ++g) {
      exact_at_[static_cast<size_t>(g)] = frame.scale == 0.0 ? exact_size_ : -1;
      if (frame.scale == 0.0) exact_size_ += kGroup * problem_.x.cols;
    }
  exact_ = Pages();
  if (exact_size_ == 0) return;
  exact_ = Pages(static_cast<size_t>(exact_size_) * sizeof(double), scratch_);
  std::vector<std::vector<double>> row(static_cast<size_t>(team.size()));
  for (auto& r : row) r.resize(static_cast<size_t>(problem_.x.cols));
  team.for_chunks(static_cast<int64_t>(frames_.size()), 1, [&](int64_t f, int64_t, int thread) {
    const Frame& frame = frames_[static_cast<size_t>(f)];
    if (frame.scale == 0.0) store_frame(frame, row[static_cast<size_t>(thread)].data());
  });
}

void ScreenStore::store_frame(const Frame& frame, double* row) {
  const int64_t d = problem_.x.cols;
  const int64_t first = frame.first_group * kGroup;
  const int64_t end = first + int64_t{frame.groups()} * kGroup;
  for (int64_t column = first; column < end; ++column) {
    double* out = exact_column(column);
    if (dead(column)) {
      for (int64_t k = 0; k < d; ++k) out[k * kGroup] = 0.0;
      bar_exact(column);
      continue;
    }
    problem_.x_point(x_row(problem_, items_, item_at(column)), row);
    for (int64_t k = 0; k < d; ++k) out[k * kGroup] = row[k];
  }
  note_heads(frame);
}

void ScreenStore::bar_exact(int64_t column) {
  *exact_column(column) = std::numeric_limits<double>::quiet_NaN();
}

void ScreenStore::note_heads(const Frame& frame) {
  for (int64_t g = frame.first_group; g < frame.first_group + frame.groups(); ++g) {
    uint32_t least = kNoRank;
    for (int64_t column = g * kGroup; column < (g + 1) * kGroup; ++column)
      if (!dead(column)) least = std::min(least, items_.head(item_at(column)));
    least_head_[static_cast<size_t>(g)] = least;
  }
}

double ScreenStore::narrow() const { return kNarrow * slack_; }

// In a narrow frame small heads come first. Where cosines tie, the level of a list soon is at a
// head that is smaller than all in the groups further on: those are passed over.
void ScreenStore::sort_by_head(uint32_t* items, size_t n) const {
  std::sort(items, items + n,
            [&](uint32_t a, uint32_t b) { return items_.head(a) < items_.head(b); });
}

void ScreenStore::find_mean(const std::vector<uint32_t>& packed) {
  const size_t n = std::min(packed.size(), kMeanSample);
  mean_.assign(static_cast<size_t>(d_), 0.0);
  std::vector<double> v(mean_.size()), scratch(mean_.size());
  for (size_t i = 0; i < n; ++i) {
    rotated_vector(packed[i * packed.size() / n], v.data(), scratch.data());
    for (size_t k = 0; k < v.size(); ++k) mean_[k] += v[k] / static_cast<double>(n);
  }
}

void ScreenStore::rotated_vector(uint32_t item, double* v, double* scratch) const {
  vectors_.of_x(x_row(problem_, items_, item), v);
  rotation_.apply(v, scratch);
}

void ScreenStore::pack_frame(size_t f, uint32_t* items, Scratch& scratch) {
  Frame& frame = frames_[f];
  const size_t d = static_cast<size_t>(d_);
  const size_t n = static_cast<size_t>(frame.columns);
  scratch.v.resize(n * d);
  scratch.rotated.resize(d);
  scratch.code.assign(static_cast<size_t>(steps_) * kStepDims, 0);
  double* center = centers_.data() + static_cast<size_t>(frame.center) * d;
  for (size_t i = 0; i < n; ++i) {
    prefetch_walk(problem_, items_, items, i, n);
    double* v = scratch.v.data() + i * d;
    rotated_vector(items[i], v, scratch.rotated.data());
    if (!one_center_)
      for (size_t k = 0; k < d; ++k) center[k] += v[k];
  }
  if (!one_center_)
    for (size_t k = 0; k < d; ++k) center[k] /= static_cast<double>(n);
  if (!cones_.empty()) cones_.build(f, scratch.v.data(), n);
  double largest = 0.0, radius2 = 0.0;
  for (size_t i = 0; i < n; ++i) {
    double top = 0.0;
    radius2 = std::max(radius2, kernels_.recentre(scratch.v.data() + i * d, center, d_, &top));
    largest = std::max(largest, top);
  }
  frame.radius = std::sqrt(radius2) + slack_;
  const bool is_narrow = frame.radius < narrow();
  frame.scale = is_narrow ? 0.0 : largest / x_limit_;
  if (is_narrow) sort_by_head(items, n);
  double residual2 = 0.0;
  const int64_t first = frame.first_group * kGroup;
  for (size_t i = 0; i < n; ++i) {
    const int64_t column = first + static_cast<int64_t>(i);
    if (!is_narrow) {
      double square = 0.0;
      residual2 = std::max(residual2, kernels_.quantise(scratch.v.data() + i * d, d_, frame.scale,
                                                        x_limit_, scratch.code.data(), &square));
      write_column(column, scratch.code.data());
    }
    bias_[static_cast<size_t>(column)] = 0;
    item_at_[static_cast<size_t>(column)] = items[i];
    column_of_[items[i]] = static_cast<uint32_t>(column);
  }
  frame.residual = std::sqrt(residual2) + slack_;
  pad(frame);
}

// The last group's unused columns: never a hit, whatever their codes.
void ScreenStore::pad(const Frame& frame) {
  const int64_t first = frame.first_group * kGroup;
  const std::vector<int8_t> zero(static_cast<size_t>(steps_) * kStepDims, 0);
  for (int64_t c = first + frame.columns; c < first + int64_t{frame.groups()} * kGroup; ++c) {
    write_column(c, zero.data());
    bias_[static_cast<size_t>(c)] = kDeadBias;
    item_at_[static_cast<size_t>(c)] = kNoRank;
  }
}

void ScreenStore::compact(Team& team) {
  team.for_chunks(static_cast<int64_t>(frames_.size()), 1,
                  [&](int64_t f, int64_t, int) { compact_frame(frames_[static_cast<size_t>(f)]); });
  columns_ = 0;
  for (const Frame& frame : frames_) columns_ += frame.columns;
}

void ScreenStore::compact_frame(Frame& frame) {
  const int64_t first = frame.first_group * kGroup;
  int64_t to = first;
  if (frame.scale != 0.0) {
    // Any order will do: the last columns fill the gaps.
    for (int64_t end = first + frame.columns; to < end;) {
      if (!dead(to))
        ++to;
      else if (dead(--end))
        continue;
      else
        move_column(frame, end, to++);
    }
    frame.columns = static_cast<int32_t>(to - first);
    pad(frame);
    return;
  }
  for (int64_t from = first; from < first + frame.columns; ++from) {
    if (dead(from)) continue;
    if (from != to) move_column(frame, from, to);
    ++to;
  }
  frame.columns = static_cast<int32_t>(to - first);
  pad(frame);
  for (int64_t column = to; column < first + int64_t{frame.groups()} * kGroup; ++column)
    bar_exact(column);
  note_heads(frame);
}

void ScreenStore::move_column(const Frame& frame, int64_t from, int64_t to) {
  if (frame.scale == 0.0) {
    const double* source = exact_column(from);
    double* target = exact_column(to);
    for (int64_t k = 0; k < problem_.x.cols; ++k) target[k * kGroup] = source[k * kGroup];
  } else {
    const uint8_t* source =
        codes_.get() + (from / kGroup) * steps_ * 64 + (from % kGroup) * kStepDims;
    uint8_t* target = codes_.get() + (to / kGroup) * steps_ * 64 + (to % kGroup) * kStepDims;
    for (int32_t s = 0; s < steps_; ++s) std::memcpy(target + s * 64, source + s * 64, kStepDims);
  }
  const uint32_t item = item_at_[static_cast<size_t>(from)];
  bias_[static_cast<size_t>(to)] = 0;
  item_at_[static_cast<size_t>(to)] = item;
  column_of_[item] = static_cast<uint32_t>(to);
}

void ScreenStore::write_column(int64_t column, const int8_t* code) {
  uint8_t* out = codes_.get() + (column / kGroup) * steps_ * 64 + (column % kGroup) * kStepDims;
  for (int32_t s = 0; s < steps_; ++s) {
    uint8_t four[kStepDims];
    for (int j = 0; j < kStepDims; ++j)
      four[j] = static_cast<uint8_t>(code[s * kStepDims + j] + x_limit_);
    std::memcpy(out + s * 64, four, kStepDims);
  }
}

}  // namespace gtn
