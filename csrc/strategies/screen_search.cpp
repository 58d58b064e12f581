#include "strategies/screen_search.h"

#include <algorithm>
#include <cmath>

namespace gtn {
namespace {

// Columns whose codes stay in the nearest caches while the tile's y's pass.
int32_t panel_groups(int32_t steps) {
  return std::clamp<int32_t>((48 * 1024) / (steps * 64), 4, 128);
}

}  // namespace

// Exact cosines of one y, read from X's stored rows.
class ScreenSearch::RowExact final : public Exact {
 public:
  RowExact(ScreenSearch& search, size_t y)
      : s_(search), y_(search.direction_.data() + y * static_cast<size_t>(search.problem_.x.cols)) {}

  double cosine(uint32_t item) override {
    ++s_.counters.rescored;
    const MatrixView& x = s_.problem_.x;
    const uint32_t row = row_of(item);
    const RowScale& scale = s_.problem_.x_scale[row];
    if (scale.zero()) return 0.0;
    return x.dtype == DType::kFloat32
               ? s_.kernels_.cosine_f32(y_, x.row_f32(row), scale.max_abs, scale.inner, x.cols)
               : s_.kernels_.cosine_f64(y_, x.row_f64(row), scale.max_abs, scale.inner, x.cols);
  }

  void prefetch(uint32_t item) override {
    const MatrixView& x = s_.problem_.x;
    const uint32_t row = row_of(item);
    __builtin_prefetch(&s_.problem_.x_scale[row]);
    const int64_t width = x.cols * (x.dtype == DType::kFloat32 ? 4 : 8);
    const char* p = x.dtype == DType::kFloat32 ? reinterpret_cast<const char*>(x.row_f32(row))
                                               : reinterpret_cast<const char*>(x.row_f64(row));
    for (int64_t b = 0; b < std::min<int64_t>(width, 512); b += 64) __builtin_prefetch(p + b);
  }

  uint32_t head(uint32_t item) const override { return s_.items_.head(item); }

 private:
  uint32_t row_of(uint32_t item) const {
    return s_.problem_.x_by_norm[s_.items_.any_rank(item)];
  }
  ScreenSearch& s_;
  const double* y_;
};

void ScreenSearch::prepare(const BlockLists& lists, size_t begin, size_t end) {
  n_ = end - begin;
  const size_t d = static_cast<size_t>(store_.dims());
  const size_t width = static_cast<size_t>(store_.steps()) * kStepDims;
  direction_.resize(n_ * d);
  code_.assign(n_ * width, 0);
  query_.resize(n_);
  view_.resize(n_);
  threshold_.resize(n_);
  if (shortlist_.size() < n_) shortlist_.resize(n_);
  for (size_t i = 0; i < n_; ++i) {
    const uint32_t row = problem_.y_by_norm[lists.y_rank[begin + i]];
    double* v = direction_.data() + i * d;
    row_direction(problem_.y, row, problem_.y_scale[row], v);
    double largest = 0.0;
    for (size_t k = 0; k < d; ++k) largest = std::max(largest, std::fabs(v[k]));
    Query& q = query_[i];
    q.scale = largest > 0.0 ? largest / store_.y_limit() : 1.0;
    double square = 0.0;
    int8_t* code = code_.data() + i * width;
    const double rest = kernels_.quantise(v, store_.dims(), q.scale, store_.y_limit(), code, &square);
    q.code_norm = std::sqrt(square) * (1.0 + 1e-9);
    q.rest = std::sqrt(rest) * (1.0 + 1e-9) + store_.slack();
    int32_t sum = 0;
    for (size_t k = 0; k < d; ++k) sum += code[k];
    q.offset = sum * store_.x_limit();
  }
}

void ScreenSearch::search(BlockLists& lists, size_t begin, size_t end, int wanted, double floor) {
  prepare(lists, begin, end);
  for (size_t i = 0; i < n_; ++i) shortlist_[i].reset(wanted, floor);
  const std::vector<Frame>& frames = store_.frames();
  for (size_t f = 0; f < frames.size(); ++f) {
    team_.check();
    visit(frames[f], store_.center(f));
  }
  for (size_t i = 0; i < n_; ++i) {
    RowExact exact(*this, i);
    lists.count[begin + i] = shortlist_[i].finish(exact, lists.most, lists.list(begin + i),
                                                  &lists.level[begin + i]);
  }
}

// Drops the y's that the frame cannot serve, then screens or evaluates it.
void ScreenSearch::visit(const Frame& frame, const double* center) {
  const size_t d = static_cast<size_t>(store_.dims());
  const double reach = frame.radius + store_.slack();
  active_.clear();
  for (size_t i = 0; i < n_; ++i) {
    View& view = view_[i];
    view.base = kernels_.ordered_dot(direction_.data() + i * d, center, store_.dims());
    if (view.base + reach < shortlist_[i].threshold()) continue;
    active_.push_back(static_cast<uint32_t>(i));
    const Query& q = query_[i];
    view.unit = q.scale * frame.scale;
    view.error = q.code_norm * frame.residual + q.rest * frame.radius + store_.slack();
  }
  const int64_t n_active = static_cast<int64_t>(active_.size());
  counters.skipped += (static_cast<int64_t>(n_) - n_active) * frame.columns;
  counters.screened += n_active * frame.columns;
  if (active_.empty()) return;
  if (frame.scale == 0.0)
    evaluate_frame(frame);
  else
    screen_frame(frame);
}

// Smallest score whose upper bound reaches the y's threshold.
int32_t ScreenSearch::integer_threshold(size_t y) const {
  const View& view = view_[y];
  const double bar = shortlist_[y].threshold();
  const double score =
      (bar - view.base - view.error) / view.unit + static_cast<double>(query_[y].offset);
  // One less: the division above rounds. NaN cannot occur, -inf and +inf clamp.
  const double floor = std::floor(score) - 1.0;
  if (floor <= -static_cast<double>(kScoreLimit)) return -kScoreLimit;
  if (floor >= static_cast<double>(kScoreLimit)) return kScoreLimit;
  return static_cast<int32_t>(floor);
}

void ScreenSearch::screen_frame(const Frame& frame) {
  const size_t width = static_cast<size_t>(store_.steps()) * kStepDims;
  const int32_t per_panel = panel_groups(store_.steps());
  hits_.resize(static_cast<size_t>(kMaxTileY) * static_cast<size_t>(per_panel) * kGroup);
  for (const uint32_t y : active_) threshold_[y] = integer_threshold(y);
  const int32_t groups = frame.groups();
  for (int32_t g = 0; g < groups; g += per_panel) {
    const int64_t first = frame.first_group + g;
    const ScreenPanel panel = store_.panel(first, std::min(per_panel, groups - g));
    for (size_t a = 0; a < active_.size(); a += kMaxTileY) {
      const int n_y = static_cast<int>(std::min<size_t>(kMaxTileY, active_.size() - a));
      const int8_t* codes[kMaxTileY];
      int32_t threshold[kMaxTileY];
      for (int j = 0; j < n_y; ++j) {
        const uint32_t y = active_[a + static_cast<size_t>(j)];
        codes[j] = code_.data() + y * width;
        threshold[j] = threshold_[y];
      }
      const int n_hits = kernels_.screen(panel, codes, threshold, n_y, hits_.data());
      if (n_hits != 0) take_hits(hits_.data(), n_hits, active_.data() + a, first * kGroup);
    }
  }
}

void ScreenSearch::take_hits(const Hit* hits, int n, const uint32_t* tile_y, int64_t first_column) {
  counters.survivors += n;
  for (int h = 0; h < n; ++h) {
    const uint32_t y = tile_y[hits[h].y];
    const View& view = view_[y];
    const double value =
        view.base + view.unit * static_cast<double>(hits[h].score - query_[y].offset);
    Shortlist& list = shortlist_[y];
    if (value + view.error < list.threshold()) continue;
    list.add(value + view.error, value - view.error, store_.item_at(first_column + hits[h].x));
    if (list.full()) {
      RowExact exact(*this, y);
      list.shrink(exact);
      threshold_[y] = integer_threshold(y);
    }
  }
}

// A frame too narrow for codes: all its columns, group by group, exactly.
void ScreenSearch::evaluate_frame(const Frame& frame) {
  const size_t d = static_cast<size_t>(store_.dims());
  std::vector<double> row(d);
  group_.assign(d * kGroup, 0.0);
  for (int32_t g = 0; g < frame.groups(); ++g) {
    const int64_t first = (frame.first_group + g) * kGroup;
    uint32_t item[kGroup];
    int used = 0;
    for (int i = 0; i < std::min(kGroup, frame.columns - g * kGroup); ++i) {
      if (store_.dead(first + i)) continue;
      item[used] = store_.item_at(first + i);
      const uint32_t x = problem_.x_by_norm[items_.any_rank(item[used])];
      row_direction(problem_.x, x, problem_.x_scale[x], row.data());
      for (size_t k = 0; k < d; ++k) group_[k * kGroup + static_cast<size_t>(used)] = row[k];
      ++used;
    }
    if (used == 0) continue;
    for (const uint32_t y : active_) {
      double cosine[kGroup];
      kernels_.ordered_dot_group(direction_.data() + y * d, group_.data(), store_.dims(), cosine);
      counters.rescored += used;
      Shortlist& list = shortlist_[y];
      for (int i = 0; i < used; ++i) {
        if (cosine[i] < list.threshold()) continue;
        list.add_exact(cosine[i], item[i], items_.head(item[i]));
        if (list.full()) {
          RowExact exact(*this, y);
          list.shrink(exact);
        }
      }
    }
  }
}

}  // namespace gtn
