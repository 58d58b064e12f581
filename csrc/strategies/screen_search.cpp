#include "strategies/screen_search.h"

#include <algorithm>
#include <cmath>

namespace gtn {
namespace {

// Columns whose codes stay in the nearest caches while the tile's y's pass.
int32_t panel_groups(int32_t steps) {
  return std::clamp<int32_t>((48 * 1024) / (steps * 64), 4, 128) & ~3;
}

constexpr int32_t kSampleGroups = 8;
constexpr int kCertain = 2;  // candidates evaluated and in certain order a list

}  // namespace

void ScreenSearch::prepare(const BlockLists& lists, size_t begin, size_t end) {
  n_ = end - begin;
  const size_t d = static_cast<size_t>(store_.dims());
  const size_t width = static_cast<size_t>(store_.steps()) * kStepDims;
  direction_.resize(n_ * d);
  rotated_.resize(n_ * d);
  scratch_.resize(d);
  code_.assign(n_ * width, 0);
  query_.resize(n_);
  view_.resize(n_);
  threshold_.resize(n_);
  if (shortlist_.size() < n_) shortlist_.resize(n_);
  for (size_t i = 0; i < n_; ++i) {
    const uint32_t row = problem_.y_by_norm[lists.y_rank[begin + i]];
    row_direction(problem_.y, row, problem_.y_scale[row], direction_.data() + i * d);
    double* v = rotated_.data() + i * d;
    std::copy_n(direction_.data() + i * d, d, v);
    store_.rotation().apply(v, scratch_.data());
    double largest = 0.0;
    for (size_t k = 0; k < d; ++k) largest = std::max(largest, std::fabs(v[k]));
    Query& q = query_[i];
    q.scale = largest > 0.0 ? largest / store_.y_limit() : 1.0;
    double square = 0.0;
    int8_t* code = code_.data() + i * width;
    const double rest =
        kernels_.quantise(v, store_.dims(), q.scale, store_.y_limit(), code, &square);
    q.code_norm = std::sqrt(square) * (1.0 + 1e-9);
    q.rest = std::sqrt(rest) * (1.0 + 1e-9) + store_.slack();
    int32_t sum = 0;
    for (size_t k = 0; k < d; ++k) sum += code[k];
    q.offset = sum * store_.x_limit();
  }
}

void ScreenSearch::search(BlockLists& lists, size_t begin, size_t end, int wanted,
                          const Floor& floor) {
  prepare(lists, begin, end);
  compute_bases();
  measure(lists, begin, floor.sampled);
  for (size_t i = 0; i < n_; ++i)
    shortlist_[i].reset(wanted, lists.mean[begin + i] + floor.height * lists.unit[begin + i]);
  nearest_.assign(n_, kNoRank);
  warm_ = false;
  columns_seen_ = 0;
  seen_ = 1.0;
  if (store_.neighbours()) visit_nearest();
  for (size_t f = 0; f < store_.frames().size(); ++f) {
    team_.check();
    visit(f, 0, n_);
    warm_ = true;
  }
  for (size_t i = 0; i < n_; ++i) {
    RowExact values = exact(direction(i));
    lists.state[begin + i] =
        shortlist_[i].finish(values, kCertain, lists.places, lists.list(begin + i));
  }
}

void ScreenSearch::deepen_list(BlockLists& lists, size_t i) {
  scratch_.resize(static_cast<size_t>(problem_.y.cols));
  const uint32_t row = problem_.y_by_norm[lists.y_rank[i]];
  row_direction(problem_.y, row, problem_.y_scale[row], scratch_.data());
  RowExact values = exact(scratch_.data());
  deepen(values, lists.list(i), lists.state[i]);
}

void ScreenSearch::measure(BlockLists& lists, size_t begin, bool sampled) {
  const bool quantised = store_.frames()[0].scale != 0.0;
  if (sampled && quantised && store_.columns() >= 4 * kSampleGroups * kGroup) {
    sample_scores(lists, begin);
    return;
  }
  for (size_t i = 0; i < n_; ++i) {
    lists.mean[begin + i] = kernels_.ordered_dot(
        rotated_.data() + i * static_cast<size_t>(store_.dims()), store_.mean(), store_.dims());
    lists.unit[begin + i] = 1.0;
  }
}

// Mean and deviation of every y's approximate cosines with the first columns.
void ScreenSearch::sample_scores(BlockLists& lists, size_t begin) {
  const Frame& frame = store_.frames()[0];
  const ScreenPanel panel =
      store_.panel(frame.first_group, std::min(kSampleGroups, frame.groups()));
  const size_t width = static_cast<size_t>(store_.steps()) * kStepDims;
  hits_.resize(static_cast<size_t>(kMaxTileY) * kSampleGroups * kGroup);
  for (size_t a = 0; a < n_; a += kMaxTileY) {
    const int n_y = static_cast<int>(std::min<size_t>(kMaxTileY, n_ - a));
    const int8_t* codes[kMaxTileY];
    int32_t threshold[kMaxTileY];
    double sum[kMaxTileY] = {}, squares[kMaxTileY] = {}, count[kMaxTileY] = {};
    for (int j = 0; j < n_y; ++j) {
      codes[j] = code_.data() + (a + static_cast<size_t>(j)) * width;
      threshold[j] = -kScoreLimit;
    }
    const int n_hits = kernels_.screen(panel, codes, threshold, n_y, hits_.data());
    for (int h = 0; h < n_hits; ++h) {
      const Hit& hit = hits_[static_cast<size_t>(h)];
      const double score = hit.score - query_[a + hit.y].offset;
      sum[hit.y] += score;
      squares[hit.y] += score * score;
      count[hit.y] += 1.0;
    }
    for (int j = 0; j < n_y; ++j) {
      const size_t i = a + static_cast<size_t>(j);
      const double n = std::max(1.0, count[j]);
      const double mean = sum[j] / n;
      const double unit = query_[i].scale * frame.scale;
      lists.mean[begin + i] = base_[i] + unit * mean;
      lists.unit[begin + i] = unit * std::sqrt(std::max(1.0, squares[j] / n - mean * mean));
    }
  }
}

void ScreenSearch::compute_bases() {
  const size_t frames = store_.frames().size();
  const size_t d = static_cast<size_t>(store_.dims());
  base_.resize(frames * n_);
  for (size_t f = 0; f < frames; ++f)
    for (size_t i = 0; i < n_; ++i)
      base_[f * n_ + i] =
          kernels_.ordered_dot(rotated_.data() + i * d, store_.center(f), store_.dims());
}

// Looking first where the best is likely raises the thresholds for all the rest.
void ScreenSearch::visit_nearest() {
  for (size_t i = 0; i < n_; ++i) {
    uint32_t best = 0;
    for (size_t f = 1; f < store_.frames().size(); ++f)
      if (base_[f * n_ + i] > base_[best * n_ + i]) best = static_cast<uint32_t>(f);
    visit(best, i, i + 1);
    nearest_[i] = best;
  }
  warm_ = true;
}

// Drops the y's that the frame cannot serve, then screens or evaluates it.
void ScreenSearch::visit(size_t f, size_t first_y, size_t last_y) {
  const Frame& frame = store_.frames()[f];
  const double reach = frame.radius + store_.slack();
  active_.clear();
  for (size_t i = first_y; i < last_y; ++i) {
    const double base = base_[f * n_ + i];
    if (base + reach < shortlist_[i].threshold() || nearest_[i] == f) continue;
    active_.push_back(static_cast<uint32_t>(i));
    const Query& q = query_[i];
    view_[i] = {base, q.scale * frame.scale,
                q.code_norm * frame.residual + q.rest * frame.radius + store_.slack()};
  }
  const int64_t n_active = static_cast<int64_t>(active_.size());
  counters.skipped += (static_cast<int64_t>(last_y - first_y) - n_active) * frame.columns;
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
  // The first columns of all, seen without a threshold, come in small portions.
  int32_t portion = warm_ ? per_panel : 4;
  for (int32_t g = 0; g < groups; g += portion, portion = std::min(per_panel, 4 * portion)) {
    const int64_t first = frame.first_group + g;
    const ScreenPanel panel = store_.panel(first, std::min(portion, groups - g));
    columns_seen_ += int64_t{panel.groups} * kGroup;
    if (!store_.neighbours())
      seen_ = static_cast<double>(columns_seen_) / static_cast<double>(store_.columns());
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
      RowExact values = exact(direction(y));
      list.shrink(values, seen_);
      threshold_[y] = integer_threshold(y);
    }
  }
}

// A frame too narrow for codes: all its columns, group by group, exactly.
void ScreenSearch::evaluate_frame(const Frame& frame) {
  for (int32_t g = 0; g < frame.groups(); ++g) {
    const int64_t first = (frame.first_group + g) * kGroup;
    const double* group = store_.exact_group(frame, g);
    for (const uint32_t y : active_) {
      double cosine[kGroup];
      Shortlist& list = shortlist_[y];
      unsigned mask =
          kernels_.ordered_dot_group(direction(y), group, store_.dims(), list.threshold(), cosine);
      for (; mask != 0; mask &= mask - 1) {
        const int i = __builtin_ctz(mask);
        if (cosine[i] < list.threshold() || store_.dead(first + i)) continue;
        const uint32_t item = store_.item_at(first + i);
        list.add_exact(cosine[i], item, items_.head(item));
        if (list.full()) {
          RowExact values = exact(direction(y));
          list.shrink(values, seen_);
        }
      }
    }
  }
  counters.rescored += static_cast<int64_t>(active_.size()) * frame.columns;
}

}  // namespace gtn
