#include "strategies/screen/code_screen.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace gtn {
namespace {

constexpr int32_t kPortion = 4;  // groups that are screened first, before lists have risen
// A frame is given up if its codes let more than 1 / kLetThrough of the pairs through. The
// frames after it are likely to be of the same cluster: the codes of the next kFramesToSkip
// are not tried at all.
constexpr int64_t kLetThrough = 4;
constexpr int kFramesToSkip = 8;
// A frame is given up only if so many y's share the cost of making its exact directions.
constexpr size_t kCrowd = 4;
// Rows on their way to the cache: when so many wait, the first ones have arrived.
constexpr size_t kPending = 64;
// So many groups that cones let through are screened before the threshold is looked up again.
constexpr int kAliveAtFirst = 32, kAliveAtOnce = 256;
constexpr int kManyHits = 8;  // of them: the list should rise before the next ones

double error_of_estimates(const SearchInputs& in) {
  if (in.out_of_core) return std::numeric_limits<double>::infinity();
  if (in.problem.by_distance()) return 0.0;
  if (in.problem.x.dtype != DType::kFloat32) return in.store.slack();
  // One more rounding than the kernel's: of y's direction to float.
  return in.store.slack() + float_dot_error(in.store.dims()) + 0x1.1p-24;
}

}  // namespace

CodeScreen::CodeScreen(const SearchInputs& in, YTile& tile, ScreenCounters& counters)
    : in_(in),
      tile_(tile),
      counters_(counters),
      estimate_error_(error_of_estimates(in)),
      sieve_(in.store.cones(), in.kernels) {}

int32_t CodeScreen::screen(size_t f, const std::vector<uint32_t>& ys, bool raised) {
  const Frame& frame = in_.store.frames()[f];
  if (!in_.store.cones().empty()) {
    screen_alive(f, ys);
    return frame.groups();
  }
  const bool may_give_up = in_.store.neighbours() && ys.size() >= kCrowd;
  if (may_give_up && frames_to_skip_ > 0) {
    --frames_to_skip_;
    return 0;
  }
  look_at(f, ys);
  codes_ = tile_.gather_codes(ys);
  // While thresholds are low, most pairs come through: portions start small, so that the lists
  // rise before the next one. So does a frame that may be given up, until its trial is over.
  const int32_t per_panel = in_.kernels.panel_groups(in_.store.steps());
  const int32_t trial = !may_give_up ? 0 : raised ? kPortion : 2 * kPortion;
  int32_t portion = raised && !may_give_up ? per_panel : kPortion;
  const int32_t groups = frame.groups();
  for (int32_t g = 0; g < groups;) {
    in_.team.check();
    const int64_t first = frame.first_group + g;
    const ScreenPanel panel = in_.store.panel(first, std::min(portion, groups - g));
    tile_.see_columns(int64_t{panel.groups} * kGroup);
    const int64_t through = screen_panel(panel, first * kGroup, ys);
    g += panel.groups;
    const int64_t pairs = static_cast<int64_t>(ys.size()) * panel.groups * kGroup;
    if (g == trial && through > pairs / kLetThrough) {
      frames_to_skip_ = kFramesToSkip;
      return g;
    }
    if (g >= trial) portion = raised ? per_panel : std::min(per_panel, 2 * portion);
  }
  return groups;
}

void CodeScreen::look_at(size_t f, const std::vector<uint32_t>& ys) {
  const Frame& frame = in_.store.frames()[f];
  const double* const base = tile_.bases(f);
  view_.resize(tile_.size());
  threshold_.resize(tile_.size());
  for (const uint32_t y : ys) {
    const YTile::Query& q = tile_.query(y);
    const double error = score_error(q, frame);
    view_[y] = {base[y], q.scale * frame.scale, error};
    threshold_[y] = integer_threshold(y);
  }
}

// A score below this one has an upper bound below the list's threshold.
int32_t CodeScreen::integer_threshold(size_t y) {
  const View& view = view_[y];
  const double score = (tile_.list(y).threshold() - view.base - view.error) / view.unit +
                       static_cast<double>(tile_.query(y).offset);
  return score_threshold(score);
}

// Returns how many pairs came through: the codes could not rule them out.
int64_t CodeScreen::screen_panel(const ScreenPanel& panel, int64_t first_column,
                                 const std::vector<uint32_t>& ys) {
  const size_t width = static_cast<size_t>(in_.kernels.tile_y);
  const size_t most_hits = width * static_cast<size_t>(panel.groups) * kGroup;
  if (hits_.size() < most_hits) hits_.resize(most_hits);
  int64_t through = 0;
  for (size_t a = 0; a < ys.size(); a += width) {
    const int n_y = static_cast<int>(std::min(width, ys.size() - a));
    int32_t threshold[kMaxTileY];
    for (int j = 0; j < n_y; ++j) threshold[j] = threshold_[ys[a + static_cast<size_t>(j)]];
    const int8_t* const codes = codes_ + static_cast<int64_t>(a) * code_stride(in_.store.steps());
    const int n_hits = in_.kernels.screen(panel, codes, threshold, n_y, hits_.data());
    if (n_hits != 0) set_aside(n_hits, ys.data() + a, first_column);
    if (pending_.size() >= kPending) through += offer_pending();
  }
  return through + offer_pending();
}

// Y after y: each has groups of its own.
void CodeScreen::screen_alive(size_t f, const std::vector<uint32_t>& ys) {
  const Frame& frame = in_.store.frames()[f];
  const int64_t first_column = frame.first_group * kGroup;
  const ScreenPanel panel = in_.store.panel(frame.first_group, frame.groups());
  look_at(f, ys);
  column_.resize((kAliveAtOnce + 1) * kGroup);
  score_.resize(column_.size());
  hits_.resize(std::max(hits_.size(), column_.size()));
  for (const uint32_t& y : ys) {
    in_.team.check();
    const std::span<const uint32_t> alive =
        sieve_.alive(f, tile_.query(y), tile_.codes(y), tile_.list(y).threshold());
    const int n = static_cast<int>(alive.size());
    const int64_t ruled_out = std::min<int64_t>(frame.columns, (frame.groups() - n) * kGroup);
    counters_.skipped += ruled_out;
    counters_.screened -= ruled_out;
    int portion = kAliveAtFirst;
    for (int a = 0, end = 0; a < n; a = end, portion = std::min(2 * portion, kAliveAtOnce)) {
      end = std::min(n, a + portion);
      const int found = in_.kernels.sift(panel, tile_.codes(y), threshold_[y], alive.data() + a,
                                         end - a, column_.data(), score_.data());
      for (size_t i = 0; i < static_cast<size_t>(found); ++i)
        hits_[i] = {0, static_cast<uint16_t>(column_[i]), score_[i]};
      if (found != 0) set_aside(found, &y, first_column);
      if (found > kManyHits || pending_.size() >= kPending) offer_pending();
    }
  }
  offer_pending();
}

// Sets aside what the lists may take, and sends for their items. No list rises before these pairs
// are offered. That is soon enough: each y is in one call of the kernel per panel, so the next
// panel is the first to ask for a threshold that these hits raise.
void CodeScreen::set_aside(int n, const uint32_t* ys, int64_t first_column) {
  counters_.survivors += n;
  for (int h = 0; h < n; ++h) {
    const Hit& hit = hits_[static_cast<size_t>(h)];
    const uint32_t y = ys[hit.y];
    const View& view = view_[y];
    const double value =
        view.base + view.unit * static_cast<double>(hit.score - tile_.query(y).offset);
    if (value + view.error < tile_.list(y).threshold()) continue;
    const int64_t column = first_column + hit.x;
    in_.store.prefetch(column);
    pending_.push_back({y, static_cast<uint32_t>(column), value, kNoRank, kNoRank});
  }
}

// Sifting does not know which columns are dead.
void CodeScreen::resolve_pending() {
  std::erase_if(pending_, [&](const Pending& p) { return in_.store.dead(p.column); });
  for (Pending& p : pending_) {
    p.item = in_.store.item_at(p.column);
    if (!(estimate_error_ < view_[p.y].error)) continue;
    p.row = x_row(in_.problem, in_.items, p.item);
    prefetch_row(in_.problem, p.row);
  }
}

int64_t CodeScreen::offer_pending() {
  resolve_pending();
  int64_t through = 0;
  for (const Pending& p : pending_) {
    Shortlist& list = tile_.list(p.y);
    double value = p.value, error = view_[p.y].error;
    if (value + error < list.threshold()) continue;
    ++through;
    if (p.row != kNoRank && estimate(p, &value)) {
      ++counters_.estimated;
      error = estimate_error_;
      if (value + error < list.threshold()) continue;
    }
    list.add(value + error, value - error, p.item);
    if (list.full()) {
      tile_.shrink_list(p.y);
      threshold_[p.y] = integer_threshold(p.y);
    }
  }
  pending_.clear();
  return through;
}

// The cosine from the row itself, but in float, and scaled after the sum; a distance exactly.
// False if magnitudes might leave float's range.
bool CodeScreen::estimate(const Pending& pending, double* cosine) const {
  const Problem& problem = in_.problem;
  const RowScale& scale = problem.x_scale[pending.row];
  const int64_t d = problem.x.cols;
  double sum = 0.0;
  if (problem.by_distance()) {
    *cosine =
        problem.x.dtype == DType::kFloat32
            ? in_.kernels.nearness_f32(tile_.point(pending.y), problem.x.row_f32(pending.row), d)
            : in_.kernels.nearness_f64(tile_.point(pending.y), problem.x.row_f64(pending.row), d);
    return true;
  }
  if (problem.x.dtype == DType::kFloat32) {
    if (!(scale.max_abs > 0x1p-40 && scale.max_abs < 0x1p60)) return false;
    sum = in_.kernels.float_dot(tile_.point_f32(pending.y), problem.x.row_f32(pending.row), d);
  } else {
    if (!(scale.max_abs > 0x1p-400 && scale.max_abs < 0x1p400)) return false;
    sum = in_.kernels.ordered_dot(tile_.point(pending.y), problem.x.row_f64(pending.row), d);
  }
  *cosine = sum / scale.norm();
  return true;
}

}  // namespace gtn
