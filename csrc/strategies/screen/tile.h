// The y's that one thread searches for together, and the list of each as it grows.
#pragma once

#include <cstdint>
#include <vector>

#include "strategies/screen/query.h"
#include "strategies/screen/row_exact.h"
#include "strategies/screen/search_inputs.h"
#include "strategies/screen/shortlist.h"

namespace gtn {

class YTile {
 public:
  using Query = ScreenQuery;

  // Pairs that a list evaluates are added to `rescored`.
  YTile(const SearchInputs& in, int64_t& rescored);

  // Takes the n y's of these ranks. Their lists must be started next. `all_bases` false: the bases
  // of every frame are set before it is looked at, for some of the y's.
  void load(const Askers& askers, const uint32_t* y_rank, size_t n, bool all_bases);
  void start_list(size_t y, int wanted, double floor) { shortlist_[y].reset(wanted, floor); }

  size_t size() const { return n_; }
  const double* point(size_t y) const { return point_.data() + y * width(); }
  const float* point_f32(size_t y) const { return point_f32_.data() + y * width(); }
  const double* rotated(size_t y) const { return rotated_.data() + y * dims(); }
  const Query& query(size_t y) const { return query_[y]; }
  // Of y and all after it, code_stride() apart.
  const int8_t* codes(size_t y) const { return code_[y * lines()].bytes; }
  // By y: value of the frame's centre, which is rotated vector . centre - shift.
  const double* bases(size_t frame) const { return base_.data() + (all_bases_ ? frame * n_ : 0); }
  double base(size_t frame, size_t y) const {
    return in_.kernels.ordered_dot(rotated(y), in_.store.center(frame), in_.store.dims()) -
           query(y).shift;
  }
  // Of the frame that comes next, where not all are known.
  void set_base(size_t y, double base) { base_[y] = base; }

  Shortlist& list(size_t y) { return shortlist_[y]; }
  // Makes room in a full list.
  void shrink_list(size_t y) {
    RowExact values = exact(y);
    shortlist_[y].shrink(values, seen_);
  }
  ListState finish_list(size_t y, int certain, int places, Candidate* out) {
    RowExact values = exact(y);
    return shortlist_[y].finish(values, certain, places, out);
  }
  // So many more columns have been compared with the y's. Where columns come in fair order,
  // lists rise with the share of them that the y's have seen.
  void see_columns(int64_t columns);

  // Puts the codes of some y's side by side, code_stride() apart; valid until the next call.
  const int8_t* gather_codes(const std::vector<uint32_t>& ys);

 private:
  struct alignas(64) CacheLine {
    int8_t bytes[64] = {};
  };
  size_t width() const { return static_cast<size_t>(in_.problem.x.cols); }  // of points
  size_t dims() const { return static_cast<size_t>(in_.store.dims()); }     // of vectors
  // Cache lines that the codes of one y fill.
  size_t lines() const {
    return static_cast<size_t>(code_stride(in_.store.steps())) / sizeof(CacheLine);
  }
  RowExact exact(size_t y) {
    return RowExact(in_.problem, in_.items, in_.kernels, point(y), rescored_);
  }
  void quantise(size_t y, const ScreenVectors::Query& of_y);
  void compute_bases();

  const SearchInputs in_;
  int64_t& rescored_;
  size_t n_ = 0;
  bool all_bases_ = true;
  std::vector<double> point_, rotated_, scratch_;
  std::vector<float> point_f32_;
  std::vector<Query> query_;
  std::vector<CacheLine> code_, gathered_;
  std::vector<double> base_;
  std::vector<Shortlist> shortlist_;
  int64_t columns_seen_ = 0;
  double seen_ = 1.0;  // share of the columns; 1 where their order is not fair
};

}  // namespace gtn
