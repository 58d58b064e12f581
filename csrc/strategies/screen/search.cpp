#include "strategies/screen/search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

namespace gtn {
namespace {

constexpr int32_t kPortion = 4;     // groups of a first look
constexpr size_t kCrowd = 4;        // y's that make exact directions worth making
constexpr int64_t kFloodShare = 4;  // 1 / kFloodShare of the pairs come through: too many
constexpr int kFloodFrames = 8;     // neighbours of such a frame, that are not asked
constexpr int32_t kSampleGroups = 8;
constexpr size_t kPending = 64;  // rows on their way to the cache

}  // namespace

ScreenSearch::ScreenSearch(const Problem& problem, const FreeItems& items, const ScreenStore& store,
                           const Kernels& kernels, const Team& team, bool out_of_core)
    : problem_(problem),
      items_(items),
      store_(store),
      kernels_(kernels),
      team_(team),
      near_(!out_of_core),
      // One more rounding: of y's direction to float.
      estimate_error_(store.slack() + (problem.x.dtype == DType::kFloat32
                                           ? float_dot_error(store.dims()) + 0x1.1p-24
                                           : 0.0)) {}

void ScreenSearch::prepare(const BlockLists& lists, size_t begin, size_t end) {
  n_ = end - begin;
  const size_t d = static_cast<size_t>(store_.dims());
  direction_.resize(n_ * d);
  rotated_.resize(n_ * d);
  direction_f32_.resize(n_ * d);
  scratch_.resize(d);
  code_.assign(n_ * lines(), CacheLine{});
  query_.resize(n_);
  view_.resize(n_);
  bar_.resize(n_);
  threshold_.resize(n_);
  if (shortlist_.size() < n_) shortlist_.resize(n_);
  for (size_t i = 0; i < n_; ++i) {
    const uint32_t row = problem_.y_by_norm[lists.y_rank[begin + i]];
    row_direction(problem_.y, row, problem_.y_scale[row], direction_.data() + i * d);
    std::copy_n(direction(i), d, direction_f32_.data() + i * d);
    double* v = rotated_.data() + i * d;
    std::copy_n(direction_.data() + i * d, d, v);
    store_.rotation().apply(v, scratch_.data());
    double largest = 0.0;
    for (size_t k = 0; k < d; ++k) largest = std::max(largest, std::fabs(v[k]));
    Query& q = query_[i];
    q.scale = largest > 0.0 ? largest / store_.y_limit() : 1.0;
    double square = 0.0;
    int8_t* code = code_[i * lines()].codes;
    const double rest =
        kernels_.quantise(v, store_.dims(), q.scale, store_.y_limit(), code, &square);
    q.code_norm = std::sqrt(square) * (1.0 + 1e-9);
    q.rest = std::sqrt(rest) * (1.0 + 1e-9) + store_.slack();
    int32_t sum = 0;
    for (size_t k = 0; k < d; ++k) sum += code[k];
    q.offset = sum * store_.x_limit();
  }
}

void ScreenSearch::search(BlockLists& lists, size_t begin, size_t end, int wanted, int certain,
                          const Floor& floor) {
  prepare(lists, begin, end);
  compute_bases();
  measure(lists, begin, floor.sampled);
  for (size_t i = 0; i < n_; ++i)
    shortlist_[i].reset(wanted, lists.mean[begin + i] + floor.height * lists.unit[begin + i]);
  nearest_.assign(n_, kNoRank);
  all_.resize(n_);
  std::iota(all_.begin(), all_.end(), 0);
  warm_ = false;
  columns_seen_ = 0;
  seen_ = 1.0;
  if (store_.neighbours()) visit_nearest();
  for (size_t f = 0; f < store_.frames().size(); ++f) {
    visit(f, all_);
    warm_ = true;
  }
  for (size_t i = 0; i < n_; ++i) {
    RowExact values = exact(direction(i));
    lists.state[begin + i] =
        shortlist_[i].finish(values, certain, lists.places, lists.list(begin + i));
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
  const size_t tile = static_cast<size_t>(kernels_.tile_y);
  hits_.resize(tile * kSampleGroups * kGroup);
  int32_t threshold[kMaxTileY];
  std::fill_n(threshold, kMaxTileY, -kScoreLimit);
  for (size_t a = 0; a < n_; a += tile) {
    const int n_y = static_cast<int>(std::min(tile, n_ - a));
    double sum[kMaxTileY] = {}, squares[kMaxTileY] = {}, count[kMaxTileY] = {};
    const int n_hits =
        kernels_.screen(panel, code_[a * lines()].codes, threshold, n_y, hits_.data());
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
  for (size_t f = 0; f < frames; ++f) {
    if (f > 0 && store_.center(f) == store_.center(f - 1)) {
      std::copy_n(base_.data() + (f - 1) * n_, n_, base_.data() + f * n_);
      continue;
    }
    for (size_t i = 0; i < n_; ++i)
      base_[f * n_ + i] =
          kernels_.ordered_dot(rotated_.data() + i * d, store_.center(f), store_.dims());
  }
}

// Looking first where the best is likely raises the thresholds for all the rest. Among
// frames as good as equal the first: it has the smallest heads.
void ScreenSearch::visit_nearest() {
  const double near = 2.0 * store_.slack();
  std::vector<std::pair<uint32_t, uint32_t>> first;  // frame, y
  std::vector<double> top(base_.begin(), base_.begin() + static_cast<int64_t>(n_));
  std::vector<uint32_t> best(n_, 0);
  for (uint32_t f = 1; f < store_.frames().size(); ++f)
    for (size_t i = 0; i < n_; ++i) {
      const double base = base_[f * n_ + i];
      const bool better = base > top[i] + near;
      best[i] = better ? f : best[i];
      top[i] = better ? base : top[i];
    }
  for (uint32_t i = 0; i < n_; ++i) first.emplace_back(best[i], i);
  std::sort(first.begin(), first.end());
  for (size_t begin = 0, end = 0; begin < n_; begin = end) {
    std::vector<uint32_t> ys;
    for (; end < n_ && first[end].first == first[begin].first; ++end)
      ys.push_back(first[end].second);
    visit(first[begin].first, ys);
    for (const uint32_t y : ys) nearest_[y] = first[begin].first;
  }
  warm_ = true;
}

// Drops the y's that the frame cannot serve, then screens or evaluates it.
void ScreenSearch::visit(size_t f, const std::vector<uint32_t>& ys) {
  const Frame& frame = store_.frames()[f];
  const double reach = frame.radius + store_.slack();
  active_.clear();
  for (const uint32_t i : ys) {
    const double base = base_[f * n_ + i];
    if (base + reach < shortlist_[i].threshold() || nearest_[i] == f) continue;
    active_.push_back(i);
    const Query& q = query_[i];
    view_[i] = {base, q.scale * frame.scale,
                q.code_norm * frame.residual + q.rest * frame.radius + store_.slack()};
  }
  const int64_t n_active = static_cast<int64_t>(active_.size());
  counters.skipped += (static_cast<int64_t>(ys.size()) - n_active) * frame.columns;
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

const int8_t* ScreenSearch::codes_of_active() {
  if (active_.size() == n_) return code_[0].codes;
  active_code_.resize(active_.size() * lines());
  for (size_t a = 0; a < active_.size(); ++a)
    std::copy_n(&code_[active_[a] * lines()], lines(), &active_code_[a * lines()]);
  return active_code_[0].codes;
}

void ScreenSearch::screen_frame(const Frame& frame) {
  const int32_t per_panel = kernels_.panel_groups(store_.steps());
  const size_t tile = static_cast<size_t>(kernels_.tile_y);
  hits_.resize(tile * static_cast<size_t>(per_panel) * kGroup);
  for (const uint32_t y : active_) threshold_[y] = integer_threshold(y);
  const int32_t groups = frame.groups();
  const bool crowd = store_.neighbours() && active_.size() >= kCrowd;
  if (crowd && flood_ > 0) {
    --flood_;
    evaluate_rest(frame, 0);
    return;
  }
  // The first columns of all, seen without a threshold, come in small portions. So do the
  // next of a frame of neighbours, to see whether its codes tell these y's anything.
  const int8_t* const codes = codes_of_active();
  const int32_t judged = crowd ? (warm_ ? kPortion : 2 * kPortion) : 0;
  int32_t portion = warm_ && !crowd ? per_panel : kPortion;
  for (int32_t g = 0; g < groups;) {
    team_.check();
    const int64_t first = frame.first_group + g;
    const ScreenPanel panel = store_.panel(first, std::min(portion, groups - g));
    columns_seen_ += int64_t{panel.groups} * kGroup;
    if (!store_.neighbours())
      seen_ = static_cast<double>(columns_seen_) / static_cast<double>(store_.columns());
    int64_t taken = 0;
    for (size_t a = 0; a < active_.size(); a += tile) {
      const int n_y = static_cast<int>(std::min(tile, active_.size() - a));
      int32_t threshold[kMaxTileY];
      for (int j = 0; j < n_y; ++j) threshold[j] = threshold_[active_[a + static_cast<size_t>(j)]];
      const int8_t* const tile_codes =
          codes + static_cast<int64_t>(a) * code_stride(store_.steps());
      const int n_hits = kernels_.screen(panel, tile_codes, threshold, n_y, hits_.data());
      if (n_hits != 0) take_hits(hits_.data(), n_hits, active_.data() + a, first * kGroup);
      if (pending_.size() >= kPending) taken += take_pending();
    }
    taken += take_pending();
    g += panel.groups;
    const int64_t pairs = static_cast<int64_t>(active_.size()) * panel.groups * kGroup;
    if (g == judged && taken > pairs / kFloodShare) {
      flood_ = kFloodFrames;
      evaluate_rest(frame, g);
      return;
    }
    if (g >= judged) portion = warm_ ? per_panel : std::min(per_panel, 2 * portion);
  }
}

// Sets aside what its list may take, and sends for the rows. A y comes once a panel, so
// none misses a threshold that its own hits would have raised.
void ScreenSearch::take_hits(const Hit* hits, int n, const uint32_t* tile_y, int64_t first_column) {
  counters.survivors += n;
  for (int h = 0; h < n; ++h) {
    const uint32_t y = tile_y[hits[h].y];
    const View& view = view_[y];
    const double value =
        view.base + view.unit * static_cast<double>(hits[h].score - query_[y].offset);
    if (value + view.error < shortlist_[y].threshold()) continue;
    const uint32_t item = store_.item_at(first_column + hits[h].x);
    uint32_t row = kNoRank;
    if (near_ && estimate_error_ < view.error) {
      row = problem_.x_by_norm[items_.any_rank(item)];
      prefetch_row(problem_, row);
    }
    pending_.push_back({y, item, row, value});
  }
}

// Returns how many the codes could not keep from the lists.
int64_t ScreenSearch::take_pending() {
  int64_t taken = 0;
  for (const Pending& p : pending_) {
    Shortlist& list = shortlist_[p.y];
    double value = p.value, error = view_[p.y].error;
    if (value + error < list.threshold()) continue;
    ++taken;
    if (p.row != kNoRank && estimate(p, &value)) {
      ++counters.estimated;
      error = estimate_error_;
      if (value + error < list.threshold()) continue;
    }
    list.add(value + error, value - error, p.item);
    if (list.full()) {
      RowExact values = exact(direction(p.y));
      list.shrink(values, seen_);
      threshold_[p.y] = integer_threshold(p.y);
    }
  }
  pending_.clear();
  return taken;
}

// The cosine from the row itself, but in float, and scaled after the sum. False where
// magnitudes might leave float's range.
bool ScreenSearch::estimate(const Pending& pending, double* cosine) const {
  const RowScale& scale = problem_.x_scale[pending.row];
  const int64_t d = store_.dims();
  double sum = 0.0;
  if (problem_.x.dtype == DType::kFloat32) {
    if (!(scale.max_abs > 0x1p-40 && scale.max_abs < 0x1p60)) return false;
    sum = kernels_.float_dot(direction_f32_.data() + pending.y * static_cast<size_t>(d),
                             problem_.x.row_f32(pending.row), d);
  } else {
    if (!(scale.max_abs > 0x1p-400 && scale.max_abs < 0x1p400)) return false;
    sum = kernels_.ordered_dot(direction(pending.y), problem_.x.row_f64(pending.row), d);
  }
  *cosine = sum / scale.norm();
  return true;
}

// A frame whose codes are too coarse for these y's, from group g on: the directions are
// made once for all of them.
void ScreenSearch::evaluate_rest(const Frame& frame, int32_t g) {
  const size_t d = static_cast<size_t>(store_.dims());
  counters.rescored += static_cast<int64_t>(active_.size()) * (frame.columns - g * kGroup);
  group_.resize(d * kGroup);
  scratch_.resize(d);
  for (const uint32_t y : active_) set_bar(y);
  for (; g < frame.groups(); ++g) {
    team_.check();
    const int64_t first = (frame.first_group + g) * kGroup;
    RowExact values = exact(nullptr);
    for (int c = 0; c < kGroup; ++c)
      if (!store_.dead(first + c)) values.prefetch(store_.item_at(first + c));
    for (int c = 0; c < kGroup; ++c) {
      if (store_.dead(first + c)) {
        std::fill(scratch_.begin(), scratch_.end(), std::numeric_limits<double>::quiet_NaN());
      } else {
        const uint32_t row = problem_.x_by_norm[items_.any_rank(store_.item_at(first + c))];
        row_direction(problem_.x, row, problem_.x_scale[row], scratch_.data());
      }
      for (size_t k = 0; k < d; ++k) group_[k * kGroup + static_cast<size_t>(c)] = scratch_[k];
    }
    evaluate_group(group_.data(), nullptr, first, 0);
  }
}

// A frame too narrow for codes: all its columns, group by group, exactly.
void ScreenSearch::evaluate_frame(const Frame& frame) {
  for (const uint32_t y : active_) set_bar(y);
  const int64_t end = frame.first_group + frame.groups();
  for (int64_t g = frame.first_group; g < end; ++g) {
    team_.check();
    const double* next = g + 1 < end ? store_.exact_group(g + 1) : nullptr;
    evaluate_group(store_.exact_group(g), next, g * kGroup, store_.least_head(g));
  }
  counters.rescored += static_cast<int64_t>(active_.size()) * frame.columns;
}

void ScreenSearch::set_bar(size_t y) {
  const Level& level = shortlist_[y].level();
  bar_[y] = {level.cosine, std::nextafter(level.cosine, std::numeric_limits<double>::infinity()),
             level.rank};
}

// All columns of a group for all active y's. No head in it is below `least_head`. The
// group that comes next, if any, is fetched meanwhile, a share a call.
void ScreenSearch::evaluate_group(const double* group, const double* next, int64_t first_column,
                                  uint32_t least_head) {
  double cosine[kMaxDotY * kGroup];
  constexpr int64_t kLine = 8;  // doubles
  const int64_t to_fetch = next ? store_.dims() * kGroup : 0;
  const int64_t calls = (static_cast<int64_t>(active_.size()) + kMaxDotY - 1) / kMaxDotY;
  const int64_t share = to_fetch / calls + kLine;
  int64_t fetched = 0;
  for (size_t a = 0; a < active_.size(); a += kMaxDotY) {
    const int n_y = static_cast<int>(std::min<size_t>(kMaxDotY, active_.size() - a));
    const double* y[kMaxDotY];
    double threshold[kMaxDotY];
    unsigned mask[kMaxDotY];
    for (const int64_t stop = std::min(fetched + share, to_fetch); fetched < stop; fetched += kLine)
      __builtin_prefetch(next + fetched, 0, 2);
    for (int j = 0; j < n_y; ++j) {
      const size_t i = active_[a + static_cast<size_t>(j)];
      y[j] = direction(i);
      threshold[j] = least_head <= bar_[i].rank ? bar_[i].ties : bar_[i].beyond;
    }
    if (kernels_.ordered_dot_group(y, n_y, group, store_.dims(), threshold, cosine, mask) == 0)
      continue;
    for (int j = 0; j < n_y; ++j) {
      const size_t i = active_[a + static_cast<size_t>(j)];
      for (; mask[j] != 0; mask[j] &= mask[j] - 1) {
        const int c = __builtin_ctz(mask[j]);
        const uint32_t item = store_.item_at(first_column + c);
        shortlist_[i].add_exact(cosine[j * kGroup + c], item, items_.head(item));
        if (!shortlist_[i].full()) continue;
        RowExact values = exact(direction(i));
        shortlist_[i].shrink(values, seen_);
        set_bar(i);
      }
    }
  }
}

}  // namespace gtn
