#include "strategies/screen/layout.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "gtn_fast/parallel.h"
#include "strategies/screen/near_order.h"

namespace gtn {
namespace {

constexpr int64_t kEvenFrame = 4096;      // columns per frame where X is spread evenly
constexpr int64_t kNeighbourFrame = 512;  // where neighbours share one
constexpr int64_t kNarrowFrame = 2048;    // where neighbours are too near for codes
constexpr int64_t kConeFrame = 32768;     // where groups of neighbours have cones
constexpr int64_t kPaySample = 2048;      // x's from which neighbours_pay() decides
constexpr int64_t kSampleLeaf = 64;
constexpr double kNeighbourShare = 0.1;  // variance left inside frames that makes it worth it
constexpr size_t kRun = 64;              // rows read together from an X in files
constexpr int64_t kCutSample = 96;       // x's from which the direction of a cut is taken

constexpr int kBins = 128;
// A cut leaves each side at least 1 / kSmallestShare of the set, and kSmallestSide x's if the
// set has three times as many.
constexpr int64_t kSmallestShare = 64;
constexpr int64_t kSmallestSide = 96;

struct Projected {
  double position;
  uint32_t item;
};

// Cuts sets of vectors across their longest axis. Each thread has its own.
class Cutter {
 public:
  Cutter(const Problem& problem, const ScreenVectors& vectors, const FreeItems& items)
      : problem_(problem),
        vectors_(vectors),
        items_(items),
        d_(static_cast<size_t>(vectors.dims())),
        sample_(static_cast<size_t>(kCutSample) * d_),
        mean_(d_),
        axis_(d_),
        next_(d_),
        row_(d_) {}

  void vector_of(uint32_t item, double* out) const {
    vectors_.of_x(x_row(problem_, items_, item), out);
  }

  // The approximate principal axis of [begin, end), by power iteration on a few.
  void find_axis(const Projected* begin, const Projected* end) {
    const int64_t n = end - begin;
    const int64_t count = std::min(n, kCutSample);
    std::fill(mean_.begin(), mean_.end(), 0.0);
    for (int64_t i = 0; i < count; ++i) {
      double* v = sample(i);
      vector_of(begin[i * n / count].item, v);
      for (size_t k = 0; k < d_; ++k) mean_[k] += v[k];
    }
    for (double& m : mean_) m /= static_cast<double>(count);
    int64_t farthest = 0;
    double far = -1.0;
    for (int64_t i = 0; i < count; ++i) {
      double* v = sample(i);
      for (size_t k = 0; k < d_; ++k) v[k] -= mean_[k];
      const double square = ordered_dot(v, v, vectors_.dims());
      if (square > far) {
        far = square;
        farthest = i;
      }
    }
    farthest_ = std::sqrt(far);
    std::copy_n(sample(farthest), d_, axis_.begin());
    for (int round = 0; round < 4; ++round) {
      std::fill(next_.begin(), next_.end(), 0.0);
      for (int64_t i = 0; i < count; ++i) {
        const double* v = sample(i);
        const double weight = ordered_dot(v, axis_.data(), vectors_.dims());
        for (size_t k = 0; k < d_; ++k) next_[k] += weight * v[k];
      }
      const double norm = std::sqrt(ordered_dot(next_.data(), next_.data(), vectors_.dims()));
      if (!(norm > 0.0)) break;  // all equal: any cut will do
      for (size_t k = 0; k < d_; ++k) axis_[k] = next_[k] / norm;
    }
  }

  // After find_axis(): whether no two of [begin, end) are more than `width` apart.
  bool within(const Projected* begin, const Projected* end, double width) {
    if (farthest_ > 0.5 * width) return false;
    return std::all_of(begin, end, [&](const Projected& p) {
      vector_of(p.item, row_.data());
      for (size_t k = 0; k < d_; ++k) row_[k] -= mean_[k];
      return ordered_dot(row_.data(), row_.data(), vectors_.dims()) < 0.25 * width * width;
    });
  }

  void project(Projected* begin, Projected* end, const std::vector<double>& axis) {
    for (Projected* p = begin; p != end; ++p) {
      vector_of(p->item, row_.data());
      const double position = ordered_dot(row_.data(), axis.data(), vectors_.dims());
      // Vectors end at 1. What is beyond, or no number, comes of a file that somebody writes
      // to: what is made of it is thrown away, but may not lead out of an array.
      p->position = std::abs(position) <= 4.0 ? position : 0.0;
    }
  }

  // Parts [begin, end) where the two sides' variances sum to the least (the
  // two-means cut of the positions, on a histogram): through the gap between
  // clusters if there is one, near the middle if not.
  static Projected* cut(Projected* begin, Projected* end) {
    const int64_t n = end - begin;
    double low = begin->position, high = low;
    for (const Projected* p = begin; p != end; ++p) {
      low = std::min(low, p->position);
      high = std::max(high, p->position);
    }
    const double per_bin = kBins / (high - low);
    const auto bin_of = [=](const Projected& p) {
      return std::min(kBins - 1, static_cast<int>((p.position - low) * per_bin));
    };
    int best = -1;
    if (high > low && std::isfinite(per_bin)) {
      int64_t count[kBins] = {};
      double sum[kBins] = {};
      double total = 0.0;
      for (const Projected* p = begin; p != end; ++p) {
        ++count[bin_of(*p)];
        sum[bin_of(*p)] += p->position - low;
        total += p->position - low;
      }
      const int64_t least = std::max(n / kSmallestShare, std::min(n / 3, kSmallestSide));
      double gain = 0.0, left_sum = 0.0;
      int64_t left = 0;
      for (int b = 0; b + 1 < kBins; ++b) {
        left += count[b];
        left_sum += sum[b];
        if (left < least || n - left < least) continue;
        const double l = static_cast<double>(left), r = static_cast<double>(n - left);
        const double apart = left_sum / l - (total - left_sum) / r;
        if (l * r * apart * apart > gain) {
          gain = l * r * apart * apart;
          best = b;
        }
      }
    }
    if (best >= 0)
      return std::partition(begin, end, [=](const Projected& p) { return bin_of(p) <= best; });
    Projected* middle = begin + n / 2;
    std::nth_element(begin, middle, end, [](const Projected& a, const Projected& b) {
      return a.position < b.position || (a.position == b.position && a.item < b.item);
    });
    return middle;
  }

  // Sum over [begin, end) of the squared distances from their mean.
  double spread(const Projected* begin, const Projected* end) {
    std::fill(mean_.begin(), mean_.end(), 0.0);
    double squares = 0.0;
    for (const Projected* p = begin; p != end; ++p) {
      vector_of(p->item, row_.data());
      for (size_t k = 0; k < d_; ++k) mean_[k] += row_[k];
      squares += ordered_dot(row_.data(), row_.data(), vectors_.dims());
    }
    const double n = static_cast<double>(end - begin);
    return std::max(0.0, squares - ordered_dot(mean_.data(), mean_.data(), vectors_.dims()) / n);
  }

  const std::vector<double>& axis() const { return axis_; }

 private:
  double* sample(int64_t i) { return sample_.data() + static_cast<size_t>(i) * d_; }

  const Problem& problem_;
  const ScreenVectors& vectors_;
  const FreeItems& items_;
  const size_t d_;
  std::vector<double> sample_, mean_, axis_, next_, row_;
  double farthest_ = 0.0;  // distance from the mean in the sample of the axis
};

// Whether frames of neighbours would be much narrower than the whole, so that most
// of them could be ruled out at a glance. The cells of a few cuts of a sample keep
// some share of the variance; in D dimensions n cells keep about n^(-2/D), which
// says what is left in the frames of all.
bool neighbours_pay(const std::vector<Projected>& points, Cutter& cutter) {
  const int64_t n = static_cast<int64_t>(points.size());
  if (n < 4 * kNeighbourFrame) return false;
  std::vector<Projected> sample;
  const int64_t count = std::min(n, kPaySample);
  for (int64_t i = 0; i < count; ++i) sample.push_back(points[static_cast<size_t>(i * n / count)]);
  Projected* const data = sample.data();
  const double whole = cutter.spread(data, data + count);
  std::vector<std::pair<int64_t, int64_t>> cells{{0, count}};
  for (int64_t cut = count; cut > kSampleLeaf; cut /= 2) {
    std::vector<std::pair<int64_t, int64_t>> next;
    for (const auto& [begin, end] : cells) {
      if (end - begin < 2) {
        next.emplace_back(begin, end);
        continue;
      }
      cutter.find_axis(data + begin, data + end);
      cutter.project(data + begin, data + end, cutter.axis());
      const int64_t middle = Cutter::cut(data + begin, data + end) - data;
      next.emplace_back(begin, middle);
      next.emplace_back(middle, end);
    }
    cells = std::move(next);
  }
  double inside = 0.0;
  for (const auto& [begin, end] : cells) inside += cutter.spread(data + begin, data + end);
  if (!(inside > 0.0)) return true;
  const double frames = static_cast<double>(n) / static_cast<double>(kNeighbourFrame);
  const double rate = std::log(frames) / std::log(static_cast<double>(cells.size()));
  return std::pow(inside / whole, rate) < kNeighbourShare;
}

using Range = std::pair<int64_t, int64_t>;

// Makes frames of items that only exact cosines can tell apart. The items go in order of their
// norms, so that the first frame of a cluster has the heads that win its ties.
void slice(Projected* data, const Range& range, std::vector<Range>& done) {
  std::sort(data + range.first, data + range.second,
            [](const Projected& a, const Projected& b) { return a.item < b.item; });
  for (int64_t begin = range.first; begin < range.second; begin += kNarrowFrame)
    done.emplace_back(begin, std::min(begin + kNarrowFrame, range.second));
}

// Cuts every range until all fit a frame; the parts stay side by side. What lies within
// `width` is sliced.
std::vector<Range> bisect(std::vector<Projected>& points, std::vector<Cutter>& cutters, Team& team,
                          double width) {
  Projected* const data = points.data();
  std::vector<Range> done, open{{0, static_cast<int64_t>(points.size())}};
  while (!open.empty()) {
    std::vector<Range> parts(2 * open.size());
    std::vector<char> is_narrow(open.size(), 0);
    const auto part = [&](size_t r, const Projected* middle) {
      parts[2 * r] = {open[r].first, middle - data};
      parts[2 * r + 1] = {middle - data, open[r].second};
    };
    if (static_cast<int>(open.size()) < 2 * team.size()) {
      for (size_t r = 0; r < open.size(); ++r) {
        const auto [begin, end] = open[r];
        cutters[0].find_axis(data + begin, data + end);
        is_narrow[r] = cutters[0].within(data + begin, data + end, width);
        if (is_narrow[r]) continue;
        const std::vector<double> axis = cutters[0].axis();
        team.for_chunks(end - begin, 4096, [&, first = begin](int64_t b, int64_t e, int thread) {
          cutters[static_cast<size_t>(thread)].project(data + first + b, data + first + e, axis);
        });
        part(r, Cutter::cut(data + begin, data + end));
      }
    } else {
      team.for_chunks(static_cast<int64_t>(open.size()), 1, [&](int64_t r, int64_t, int thread) {
        Cutter& cutter = cutters[static_cast<size_t>(thread)];
        const auto [begin, end] = open[static_cast<size_t>(r)];
        cutter.find_axis(data + begin, data + end);
        is_narrow[static_cast<size_t>(r)] = cutter.within(data + begin, data + end, width);
        if (is_narrow[static_cast<size_t>(r)]) return;
        cutter.project(data + begin, data + end, cutter.axis());
        part(static_cast<size_t>(r), Cutter::cut(data + begin, data + end));
      });
    }
    std::vector<Range> next;
    for (size_t r = 0; r < open.size(); ++r) {
      if (is_narrow[r]) {
        slice(data, open[r], done);
        continue;
      }
      for (const Range& range : {parts[2 * r], parts[2 * r + 1]})
        (range.second - range.first > kNeighbourFrame ? next : done).push_back(range);
    }
    open = std::move(next);
  }
  std::sort(done.begin(), done.end());
  return done;
}

// Items are numbered by norm, which may go with direction. A stride coprime to the number
// of runs makes every stretch of columns a fair sample.
void spread_out(std::vector<Projected>& points, size_t run) {
  const size_t n = points.size();
  const size_t runs = (n + run - 1) / run;
  size_t stride = static_cast<size_t>(0.6180339887 * static_cast<double>(runs)) | 1;
  while (std::gcd(stride, runs) != 1) ++stride;
  std::vector<Projected> out;
  out.reserve(n);
  for (size_t i = 0, at = 0; i < runs; ++i, at = (at + stride) % runs)
    out.insert(out.end(), points.begin() + static_cast<int64_t>(at * run),
               points.begin() + static_cast<int64_t>(std::min(n, (at + 1) * run)));
  points.swap(out);
}

void sort_by_row(std::vector<Projected>& points, const Problem& problem, const FreeItems& items) {
  const auto row = [&](const Projected& p) { return x_row(problem, items, p.item); };
  std::sort(points.begin(), points.end(),
            [&](const Projected& a, const Projected& b) { return row(a) < row(b); });
}

}  // namespace

Layout make_layout(const Problem& problem, const ScreenVectors& vectors, const FreeItems& items,
                   Team& team, bool try_neighbours, double narrow, bool in_runs) {
  std::vector<Projected> points;
  for (const uint32_t item : items.all_free()) points.push_back({0.0, item});
  const int64_t n = static_cast<int64_t>(points.size());
  std::vector<Cutter> cutters(static_cast<size_t>(team.size()), Cutter(problem, vectors, items));
  Layout layout;
  // Looking for neighbours reads all of X several times, here and there.
  layout.neighbours = try_neighbours && !in_runs && neighbours_pay(points, cutters[0]);
  if (layout.neighbours) {
    for (const Range& range : bisect(points, cutters, team, 0.5 * narrow))
      layout.frame_begin.push_back(range.first);
  } else {
    if (in_runs) sort_by_row(points, problem, items);
    spread_out(points, in_runs ? kRun : 1);
    layout.one_center = !in_runs;
    for (int64_t begin = 0; begin < n; begin += kEvenFrame) layout.frame_begin.push_back(begin);
  }
  layout.frame_begin.push_back(n);
  layout.items.reserve(points.size());
  for (const Projected& p : points) layout.items.push_back(p.item);
  return layout;
}

Layout make_cone_layout(const Problem& problem, const ScreenVectors& vectors,
                        const FreeItems& items, Team& team) {
  Layout layout;
  layout.cones = true;
  layout.items = items.all_free();
  near_order(problem, vectors, items, layout.items, team);
  const int64_t n = static_cast<int64_t>(layout.items.size());
  for (int64_t begin = 0; begin < n; begin += kConeFrame) layout.frame_begin.push_back(begin);
  layout.frame_begin.push_back(n);
  return layout;
}

}  // namespace gtn
