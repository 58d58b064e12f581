#include "strategies/screen/floor.h"

#include <algorithm>
#include <cmath>

namespace gtn {
namespace {

constexpr int32_t kSampleGroups = 8;  // groups of X that units are measured on
// After kFloods blocks in a row with more than kFlood survivors per y, units are measured.
constexpr int64_t kFlood = 90;
constexpr int kFloods = 4;

}  // namespace

FloorSample::FloorSample(const SearchInputs& in, const YTile& tile) : in_(in), tile_(tile) {}

void FloorSample::measure(bool sampled, CosineScale* scale) {
  const ScreenStore& store = in_.store;
  const bool quantised = store.frames()[0].scale != 0.0;
  if (sampled && quantised && store.columns() >= 4 * kSampleGroups * kGroup) {
    sample_scores(scale);
    return;
  }
  for (size_t y = 0; y < tile_.size(); ++y) {
    const YTile::Query& q = tile_.query(y);
    const double at_mean = in_.kernels.ordered_dot(tile_.rotated(y), store.mean(), store.dims());
    scale[y] = {at_mean - q.shift, q.length};
  }
}

// Mean and deviation of every y's approximate cosines with the first columns.
void FloorSample::sample_scores(CosineScale* scale) {
  const Frame& frame = in_.store.frames()[0];
  const ScreenPanel panel =
      in_.store.panel(frame.first_group, std::min(kSampleGroups, frame.groups()));
  const size_t width = static_cast<size_t>(in_.kernels.tile_y);
  hits_.resize(width * kSampleGroups * kGroup);
  int32_t threshold[kMaxTileY];
  std::fill_n(threshold, kMaxTileY, -kScoreLimit);
  for (size_t a = 0; a < tile_.size(); a += width) {
    const int n_y = static_cast<int>(std::min(width, tile_.size() - a));
    double sum[kMaxTileY] = {}, squares[kMaxTileY] = {}, count[kMaxTileY] = {};
    const int n_hits = in_.kernels.screen(panel, tile_.codes(a), threshold, n_y, hits_.data());
    for (int h = 0; h < n_hits; ++h) {
      const Hit& hit = hits_[static_cast<size_t>(h)];
      const double score = hit.score - tile_.query(a + hit.y).offset;
      sum[hit.y] += score;
      squares[hit.y] += score * score;
      count[hit.y] += 1.0;
    }
    for (int j = 0; j < n_y; ++j) {
      const size_t y = a + static_cast<size_t>(j);
      const double n = std::max(1.0, count[j]);
      const double mean = sum[j] / n;
      const double unit = tile_.query(y).scale * frame.scale;
      scale[y] = {tile_.bases(0)[y] + unit * mean,
                  unit * std::sqrt(std::max(1.0, squares[j] / n - mean * mean))};
    }
  }
}

// Units of 1 are cheapest, and as good where all y's see X alike. Where they do not, the floor
// is too low for some and too high for others: too many pairs survive.
bool FloorRule::learn(const std::vector<CosineScale>& scale, const std::vector<double>& level,
                      int64_t survivors, bool may_sample) {
  set_height(scale, level);
  if (!flooded(survivors, static_cast<int64_t>(level.size()))) return false;
  if (floor_.sampled || !may_sample) return false;
  floor_ = Floor{};
  floor_.sampled = true;
  return true;
}

void FloorRule::set_height(const std::vector<CosineScale>& scale,
                           const std::vector<double>& level) {
  heights_.clear();
  for (size_t i = 0; i < level.size(); ++i) {
    const double height = scale[i].height(level[i]);
    // A list that never rose above the floor asks for a lower floor.
    heights_.push_back(height > floor_.height + 1e-9 ? height : floor_.height - spread_);
  }
  const auto tenth = heights_.begin() + static_cast<int64_t>(heights_.size() / 10);
  std::nth_element(heights_.begin(), tenth, heights_.end());
  const double low = *tenth;
  const auto middle = heights_.begin() + static_cast<int64_t>(heights_.size() / 2);
  std::nth_element(heights_.begin(), middle, heights_.end());
  spread_ = std::max(0.0, *middle - low) + 1e-12;
  floor_.height = low - 0.5 * spread_;
  // Lists that hold all there is have no end.
  if (!std::isfinite(floor_.height)) floor_.height = Floor{}.height;
}

bool FloorRule::flooded(int64_t survivors, int64_t n_y) {
  const bool many = survivors - survivors_before_ > kFlood * n_y;
  survivors_before_ = survivors;
  floods_ = many ? floods_ + 1 : 0;
  return floods_ == kFloods;
}

}  // namespace gtn
