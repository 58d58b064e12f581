// The free x's, quantised and packed for screening.
//
// A frame is a run of packed columns with a centre and a scale in common. Of each column it
// keeps codes: rotated vector (vectors.h) - centre = scale * codes + residual. The smaller the
// radius of a frame, the tighter its bounds. Where X is spread evenly one centre serves all frames.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gtn_fast/match.h"
#include "kernels/kernels.h"
#include "strategies/common/free_items.h"
#include "strategies/screen/cones.h"
#include "strategies/screen/pages.h"
#include "strategies/screen/rotation.h"
#include "strategies/screen/vectors.h"

namespace gtn {

struct Frame {
  int64_t first_group = 0;
  int32_t center = 0;     // number of its centre
  int32_t columns = 0;    // in use; the rest of the last group can never hit
  double scale = 0.0;     // 0: a narrow frame, without codes
  double radius = 0.0;    // >= |vector - centre| of every column
  double residual = 0.0;  // >= |vector - centre - scale * codes|
  int32_t groups() const { return (columns + kGroup - 1) / kGroup; }
};

// Which items stand side by side: a permutation cut into frames.
struct Layout {
  std::vector<uint32_t> items;
  std::vector<int64_t> frame_begin;  // frames + 1 offsets into items
  bool neighbours = false;           // frames hold neighbours: most are far from a given y
  bool one_center = false;           // for all frames
  bool cones = false;                // groups hold neighbours: cones tell which are far from a y
};

class ScreenStore {
 public:
  // Codes and points go to a file in the folder `scratch`; to memory if that is empty.
  ScreenStore(const Problem& problem, const ScreenVectors& vectors, const FreeItems& items,
              const Kernels& kernels, std::string scratch = "");

  // Packs those of layout.items that are free, frame by frame.
  void pack(const Layout& layout, Team& team);
  // Closes the gaps that killed columns left; frames keep centre and scale.
  void compact(Team& team);

  const ScreenVectors& vectors() const { return vectors_; }
  // Codes are made of rotated vectors.
  const Rotation& rotation() const { return rotation_; }
  int64_t dims() const { return d_; }
  int32_t steps() const { return steps_; }
  int x_limit() const { return x_limit_; }
  int y_limit() const { return y_limit_; }
  int64_t columns() const { return columns_; }
  bool neighbours() const { return neighbours_; }
  // Empty unless the layout asked for them; columns stay where they are as long as there are any.
  const Cones& cones() const { return cones_; }
  // Whether any stretch of columns is a fair sample of all.
  bool fair() const { return !neighbours_ && cones_.empty(); }
  const std::vector<Frame>& frames() const { return frames_; }
  const double* center(size_t frame) const {
    return centers_.data() + static_cast<size_t>(frames_[frame].center) * static_cast<size_t>(d_);
  }
  // About the mean of all columns when packed.
  const double* mean() const { return mean_.data(); }
  ScreenPanel panel(int64_t first_group, int32_t groups) const {
    return {codes_.get() + first_group * steps_ * 64, bias_.data() + first_group * kGroup, groups,
            steps_};
  }
  // Points of a group of a narrow frame, [dimension][column]. The columns are
  // so near each other that codes cannot tell them apart. A dead column holds a NaN, which
  // reaches no threshold.
  const double* exact_group(int64_t group) const { return exact_begin(group); }
  // No head in the group is smaller: heads only grow while the group stays as it is.
  uint32_t least_head(int64_t group) const { return least_head_[static_cast<size_t>(group)]; }
  // Frames of a smaller radius are narrow.
  double narrow() const;
  uint32_t item_at(int64_t column) const { return item_at_[static_cast<size_t>(column)]; }
  // The item's last member was taken: its column will not be hit again.
  void kill(uint32_t item) {
    const int64_t column = column_of_[item];
    bias_[static_cast<size_t>(column)] = kDeadBias;
    if (exact_at_[static_cast<size_t>(column / kGroup)] >= 0) bar_exact(column);
  }
  // Asks for what the store knows of the column, beside its codes.
  void prefetch(int64_t column) const {
    __builtin_prefetch(&bias_[static_cast<size_t>(column)]);
    __builtin_prefetch(&item_at_[static_cast<size_t>(column)]);
  }
  bool dead(int64_t column) const { return bias_[static_cast<size_t>(column)] == kDeadBias; }
  int64_t bytes() const;

  // Slack of all bounds for the rounding of double arithmetic, for vectors of at most length 1.
  double slack() const { return slack_; }

 private:
  struct Scratch {
    std::vector<double> v, rotated;
    std::vector<int8_t> code;
  };
  void rotated_vector(uint32_t item, double* v, double* scratch) const;
  void find_mean(const std::vector<uint32_t>& packed);
  void pack_frame(size_t frame, uint32_t* items, Scratch& scratch);
  void sort_by_head(uint32_t* items, size_t n) const;
  void write_column(int64_t column, const int8_t* code);
  void move_column(const Frame& frame, int64_t from, int64_t to);
  double* exact_begin(int64_t group) const {
    return reinterpret_cast<double*>(exact_.get()) + exact_at_[static_cast<size_t>(group)];
  }
  double* exact_column(int64_t column) { return exact_begin(column / kGroup) + column % kGroup; }
  void bar_exact(int64_t column);
  void store_points(Team& team);
  void store_frame(const Frame& frame, double* row);
  void note_heads(const Frame& frame);
  void pad(const Frame& frame);
  void compact_frame(Frame& frame);

  const Problem& problem_;
  const ScreenVectors& vectors_;
  const FreeItems& items_;
  const Kernels& kernels_;
  const Rotation rotation_;
  const int64_t d_;  // of vectors
  const int32_t steps_;
  int x_limit_, y_limit_;
  bool neighbours_ = false, one_center_ = false;
  double slack_;
  int64_t columns_ = 0, groups_capacity_ = 0;
  std::vector<Frame> frames_;
  std::vector<double> centers_;
  std::vector<double> mean_;
  const std::string scratch_;
  Pages codes_;
  Cones cones_;
  Pages exact_;  // doubles
  int64_t exact_size_ = 0;
  std::vector<int64_t> exact_at_;     // by group: where in exact_, -1 in a frame of codes
  std::vector<uint32_t> least_head_;  // by group, of narrow frames
  std::vector<int32_t> bias_;
  std::vector<uint32_t> item_at_;
  std::vector<uint32_t> column_of_;
};

}  // namespace gtn
