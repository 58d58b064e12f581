#include "strategies/tree/index.h"

#include <algorithm>
#include <limits>

#include "engine/radix.h"

namespace gtn {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

template <int D>
struct Point {
  double x[D];
  uint32_t rank;
};

// A run of children first..last-1 of one node whose points are in place as a set.
struct Segment {
  int level;
  int64_t node;
  int first, last;
};

// Permutes points so that slot i of the tree is points[i]: every binary split
// is by position along the widest side.
template <int D>
class Arranger {
 public:
  Arranger(Point<D>* points, int64_t n, int levels, Team& team)
      : points_(points), n_(n), team_(team) {
    child_slots_[1] = kTreeLeaf;
    for (int j = 2; j <= levels; ++j) child_slots_[j] = child_slots_[j - 1] * kTreeFan;
    root_ = whole(levels, 0);
  }

  void run() {
    // The top splits run side by side as soon as there are several.
    std::vector<Segment> front{root_}, next;
    const size_t enough = team_.size() == 1 ? 1 : static_cast<size_t>(team_.size()) * 8;
    while (!front.empty() && front.size() < enough) {
      std::vector<std::vector<Segment>> halves(front.size());
      team_.for_chunks(static_cast<int64_t>(front.size()), 1, [&](int64_t i, int64_t, int) {
        split(front[static_cast<size_t>(i)], halves[static_cast<size_t>(i)]);
      });
      next.clear();
      for (const std::vector<Segment>& h : halves) next.insert(next.end(), h.begin(), h.end());
      front.swap(next);
    }
    team_.for_chunks(static_cast<int64_t>(front.size()), 1, [&](int64_t i, int64_t, int) {
      std::vector<Segment> todo{front[static_cast<size_t>(i)]};
      while (!todo.empty()) {
        const Segment s = todo.back();
        todo.pop_back();
        if (s.level >= 3) team_.check();
        split(s, todo);
      }
    });
  }

 private:
  int64_t start(const Segment& s, int child) const {
    return std::min(n_, (s.node * kTreeFan + child) * child_slots_[s.level]);
  }

  Segment whole(int level, int64_t node) const {
    Segment s{level, node, 0, 1};
    while (s.last < kTreeFan && start(s, s.last) < n_) ++s.last;
    return s;
  }

  // Appends what is left to do with the two halves of s.
  void split(const Segment& s, std::vector<Segment>& out) const {
    if (s.last - s.first == 1) {
      if (s.level > 1) out.push_back(whole(s.level - 1, s.node * kTreeFan + s.first));
      return;
    }
    const int middle = (s.first + s.last + 1) / 2;
    Point<D>* begin = points_ + start(s, s.first);
    Point<D>* end = points_ + start(s, s.last);
    const int side = widest(begin, end);
    std::nth_element(
        begin, points_ + start(s, middle), end,
        [side](const Point<D>& a, const Point<D>& b) { return a.x[side] < b.x[side]; });
    out.push_back({s.level, s.node, s.first, middle});
    out.push_back({s.level, s.node, middle, s.last});
  }

  // By a sample: the side only makes the boxes better or worse.
  static int widest(const Point<D>* begin, const Point<D>* end) {
    const int64_t step = (end - begin) / 512 + 1;
    double low[D], high[D];
    std::copy_n(begin->x, D, low);
    std::copy_n(begin->x, D, high);
    for (int64_t i = 0; i < end - begin; i += step) {
      for (int c = 0; c < D; ++c) {
        low[c] = std::min(low[c], begin[i].x[c]);
        high[c] = std::max(high[c], begin[i].x[c]);
      }
    }
    int side = 0;
    for (int c = 1; c < D; ++c)
      if (high[c] - low[c] > high[side] - low[side]) side = c;
    return side;
  }

  Point<D>* points_;
  int64_t n_;
  Team& team_;
  int64_t child_slots_[kTreeLevels + 1] = {};
  Segment root_;
};

template <int D>
class TreeIndexOf : public TreeIndex {
 public:
  TreeIndexOf() : TreeIndex(D) {}

  void build(const Problem& problem, const DirectionClasses& classes, Team& team) override {
    const bool skip_zero = classes.zero_class != kNoRank;
    const int64_t n = classes.count() - (skip_zero ? 1 : 0);
    std::unique_ptr<Point<D>[]> points = uninitialized<Point<D>>(n);
    team.for_chunks(n, 1 << 13, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t c = skip_zero && i >= classes.zero_class ? i + 1 : i;
        Point<D>& p = points[i];
        p.rank = classes.first[static_cast<size_t>(c)];
        const size_t row = problem.x_by_norm[p.rank];
        problem.x_point(static_cast<int64_t>(row), p.x);
      }
    });
    fill(points.get(), n, team);
  }

  void rebuild(Team& team) override {
    constexpr int64_t kGrain = 1 << 9;  // leaves
    const int64_t chunks = (nodes_[0] + kGrain - 1) / kGrain;
    std::vector<int64_t> begin_of(static_cast<size_t>(chunks) + 1, 0);
    for (int64_t l = 0; l < nodes_[0]; ++l)
      begin_of[static_cast<size_t>(l / kGrain) + 1] += live_below_[0][static_cast<size_t>(l)];
    for (size_t c = 1; c < begin_of.size(); ++c) begin_of[c] += begin_of[c - 1];
    std::unique_ptr<Point<D>[]> points = uninitialized<Point<D>>(live_);
    team.for_chunks(nodes_[0], kGrain, [&](int64_t begin, int64_t end, int) {
      // A team of one takes its chunks one by one too, so begin is a multiple of kGrain.
      Point<D>* out = points.get() + begin_of[static_cast<size_t>(begin / kGrain)];
      for (int64_t slot = begin * kTreeLeaf; slot < end * kTreeLeaf; ++slot) {
        if (rank_[slot] == kNoRank) continue;
        const double* x = x_.get() + slot / kTreeLeaf * (D * kTreeLeaf) + slot % kTreeLeaf;
        for (int c = 0; c < D; ++c) out->x[c] = x[c * kTreeLeaf];
        out->rank = rank_[slot];
        ++out;
      }
    });
    fill(points.get(), live_, team);
  }

 private:
  void fill(Point<D>* points, int64_t n, Team& team) {
    allocate(n);
    Arranger<D>(points, n, view_.levels, team).run();
    team.for_chunks(nodes_[1], 1 << 8, [&](int64_t begin, int64_t end, int) {
      for (int64_t leaf = begin * kTreeFan; leaf < end * kTreeFan; ++leaf) fill_leaf(points, leaf);
    });
    for (int level = 2; level <= view_.levels; ++level)
      for (int64_t child = 0; child < nodes_[level] * kTreeFan; ++child) fill_box(level, child);
  }

  // Leaf number `leaf` and its box in the node above; an empty box if there is none.
  void fill_leaf(const Point<D>* points, int64_t leaf) {
    double low[D], high[D];
    std::fill_n(low, D, kInfinity);
    std::fill_n(high, D, -kInfinity);
    int live = 0;
    for (int i = 0; i < kTreeLeaf && leaf < nodes_[0]; ++i) {
      const int64_t slot = leaf * kTreeLeaf + i;
      double* x = x_.get() + leaf * (D * kTreeLeaf) + i;
      if (slot >= n_) {
        rank_[slot] = kNoRank;
        for (int c = 0; c < D; ++c) x[c * kTreeLeaf] = kNaN;
        continue;
      }
      const Point<D>& p = points[slot];
      rank_[slot] = p.rank;
      ++live;
      for (int c = 0; c < D; ++c) {
        x[c * kTreeLeaf] = p.x[c];
        low[c] = std::min(low[c], p.x[c]);
        high[c] = std::max(high[c], p.x[c]);
      }
    }
    if (leaf < nodes_[0]) live_below_[0][static_cast<size_t>(leaf)] = static_cast<uint8_t>(live);
    set_box(1, leaf, low, high, live > 0);
  }

  void fill_box(int level, int64_t child) {
    double low[D], high[D];
    std::fill_n(low, D, kInfinity);
    std::fill_n(high, D, -kInfinity);
    const bool there = child < nodes_[level - 1];
    if (there) {
      const double* b = box(level - 1, child);
      for (int c = 0; c < D; ++c)
        for (int k = 0; k < kTreeFan; ++k) {
          low[c] = std::min(low[c], b[c * kTreeFan + k]);
          high[c] = std::max(high[c], b[(D + c) * kTreeFan + k]);
        }
    }
    set_box(level, child, low, high, there);
  }

  void set_box(int level, int64_t child, const double* low, const double* high, bool live) {
    double* b = box(level, child / kTreeFan) + child % kTreeFan;
    for (int c = 0; c < D; ++c) {
      b[c * kTreeFan] = low[c];
      b[(D + c) * kTreeFan] = high[c];
    }
    if (live) ++live_below_[level][static_cast<size_t>(child / kTreeFan)];
  }
};

template <int D>
std::unique_ptr<TreeIndex> make_index(int64_t d) {
  if (d == D) return std::make_unique<TreeIndexOf<D>>();
  if constexpr (D < kTreeMaxDim) return make_index<D + 1>(d);
  return nullptr;
}

}  // namespace

std::unique_ptr<TreeIndex> TreeIndex::make(int64_t d) { return make_index<1>(d); }

void TreeIndex::allocate(int64_t n) {
  n_ = live_ = n;
  nodes_[0] = std::max<int64_t>(1, (n + kTreeLeaf - 1) / kTreeLeaf);
  int levels = 0;
  int64_t doubles = 0;
  do {
    ++levels;
    nodes_[levels] = (nodes_[levels - 1] + kTreeFan - 1) / kTreeFan;
    level_begin_[levels] = doubles;
    doubles += nodes_[levels] * (2 * kTreeFan * d_);
  } while (nodes_[levels] > 1);
  // Old arrays go first: the new ones are never larger.
  boxes_ = {};
  x_ = {};
  rank_ = {};
  boxes_ = AlignedArray<double>(doubles);
  x_ = AlignedArray<double>(nodes_[0] * kTreeLeaf * d_);
  rank_ = AlignedArray<uint32_t>(nodes_[0] * kTreeLeaf);
  for (int j = 0; j <= levels; ++j) live_below_[j].assign(static_cast<size_t>(nodes_[j]), 0);
  view_.levels = levels;
  for (int j = 1; j <= levels; ++j) view_.box[j] = box(j, 0);
  view_.x = x_.get();
  view_.rank = rank_.get();
}

void TreeIndex::take(uint32_t slot, uint32_t next) {
  rank_[slot] = next;
  if (next != kNoRank) return;
  --live_;
  int64_t node = slot / kTreeLeaf;
  x_[node * kTreeLeaf * d_ + slot % kTreeLeaf] = kNaN;
  for (int level = 0; --live_below_[level][static_cast<size_t>(node)] == 0 && level < view_.levels;
       ++level) {
    box(level + 1, node / kTreeFan)[node % kTreeFan] = kInfinity;
    node /= kTreeFan;
  }
}

}  // namespace gtn
