#include "strategies/tree/index.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "engine/radix.h"
#include "strategies/common/fetch.h"

namespace gtn {
namespace {

// What is put in order: a point as leaves keep it, and where the rest of it is.
template <class Real, int D>
struct Key {
  Real x[D];
  uint32_t from;
};

// A run of children first..last-1 of one node whose points are in place as a set.
struct Segment {
  int level;
  int64_t node;
  int first, last;
};

// Permutes keys so that slot i of the tree is keys[i]: every binary split
// is by position along the widest side.
template <class Real, int D>
class Arranger {
  using Key = gtn::Key<Real, D>;

 public:
  Arranger(Key* keys, int64_t n, int levels, Team& team) : keys_(keys), n_(n), team_(team) {
    child_slots_[1] = kTreeLeaf;
    for (int j = 2; j <= levels; ++j) child_slots_[j] = child_slots_[j - 1] * kTreeFan;
    root_ = whole(levels, 0);
  }

  void run() {
    std::vector<Segment> front{root_}, next;
    // The top splits run side by side as soon as there are several.
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
    Key* begin = keys_ + start(s, s.first);
    Key* end = keys_ + start(s, s.last);
    const int side = widest(begin, end);
    select(begin, keys_ + start(s, middle), end, side);
    out.push_back({s.level, s.node, s.first, middle});
    out.push_back({s.level, s.node, middle, s.last});
  }

  // As std::nth_element by coordinate `side`, but no branch depends on a comparison of keys: those
  // would go wrong every other time. A pivot is from a sample, beyond the wanted place by so much
  // that what is left is mostly the shorter part.
  static void select(Key* begin, Key* middle, Key* end, int side) {
    constexpr int64_t kFew = 12, kMostSamples = 127;
    constexpr int kRounds = 64;  // far more than it takes, unless the sample is always unlucky
    for (int round = 0; round < kRounds && end - begin > kFew; ++round) {
      const int64_t n = end - begin;
      const int64_t samples = n < 64 ? 3 : n < 1024 ? 9 : n < (1 << 14) ? 31 : kMostSamples;
      Real sample[kMostSamples];
      for (int64_t i = 0; i < samples; ++i)
        sample[i] = begin[(2 * i + 1) * n / (2 * samples)].x[side];
      const double part = static_cast<double>(middle - begin) / static_cast<double>(n);
      const double spread = std::sqrt(static_cast<double>(samples) * part * (1.0 - part));
      const double place = part * static_cast<double>(samples) + (part < 0.4   ? spread
                                                                  : part > 0.6 ? -spread
                                                                               : 0.0);
      const int64_t at = std::clamp<int64_t>(static_cast<int64_t>(place), 0, samples - 1);
      std::nth_element(sample, sample + at, sample + samples);
      const Real pivot = sample[at];
      Key* const right = partition(begin, end, [=](const Key& k) { return k.x[side] < pivot; });
      if (middle < right) {
        end = right;
      } else if (right > begin) {
        begin = right;
      } else {  // none is smaller
        begin = partition(begin, end, [=](const Key& k) { return !(pivot < k.x[side]); });
        if (middle < begin) return;
      }
    }
    std::nth_element(begin, middle, end,
                     [side](const Key& a, const Key& b) { return a.x[side] < b.x[side]; });
  }

  template <class InFront>
  static Key* partition(Key* begin, Key* end, const InFront& in_front) {
    Key* to = begin;
    for (Key* key = begin; key < end; ++key) {
      const Key k = *key;
      *key = *to;
      *to = k;
      to += in_front(k);
    }
    return to;
  }

  // By a sample: the side only makes the boxes better or worse.
  static int widest(const Key* begin, const Key* end) {
    const int64_t step = (end - begin) / 512 + 1;
    auto low = std::to_array(begin->x), high = low;

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

  Key* keys_;
  int64_t n_;
  Team& team_;
  int64_t child_slots_[kTreeLevels + 1] = {};
  Segment root_;
};

template <class Real>
TreeCells<Real>& cells_of(TreeView& view) {
  if constexpr (sizeof(Real) == sizeof(float))
    return view.by_cosine;
  else
    return view.by_distance;
}

// Real: the numbers of boxes and leaves, float by cosine.
template <class Real, int D>
class TreeIndexOf : public TreeIndex {
 public:
  TreeIndexOf() : TreeIndex(D) {}

  void build(const Problem& problem, const DirectionClasses& classes, Team& team) override {
    const bool skip_zero = classes.zero_class != kNoRank;
    const int64_t n = classes.count() - (skip_zero ? 1 : 0);
    Source source;
    source.rank = AlignedArray<uint32_t>(n);
    if constexpr (kRounded) source.point = AlignedArray<double>(n * D);
    std::unique_ptr<Key[]> keys = uninitialized<Key>(n);
    team.for_chunks(n, 1 << 13, [&](int64_t begin, int64_t end, int) {
      double x[D];
      for (int64_t i = begin; i < end; ++i) {
        const int64_t c = skip_zero && i >= classes.zero_class ? i + 1 : i;
        const uint32_t rank = classes.first[static_cast<size_t>(c)];
        fetch_ahead(problem.x, problem.x_scale, problem.x_by_norm, rank);
        source.rank[i] = rank;
        problem.x_point(static_cast<int64_t>(problem.x_by_norm[rank]), x);
        if constexpr (kRounded) std::copy_n(x, D, source.point.get() + i * D);
        for (int k = 0; k < D; ++k) keys[i].x[k] = static_cast<Real>(x[k]);
        keys[i].from = static_cast<uint32_t>(i);
      }
    });
    fill(keys.get(), n, source, team);
  }

  // A new tree each time. To pack what is free in the order that is there was no gain: leaves then
  // straddle places that lie apart, and more so each time (Gaussian, n = 200,000, nodes and leaves
  // visited in all: 1.9 and 3.1 times at d = 3, 2.5 and 3.5 at d = 5, 1.8 and 2.1 at d = 8; time:
  // as much at d = 3, 1.5 times at d = 5, 1.4 at d = 8). New splits below every 8,192 slots
  // alone: 1.4 and 1.4 times at d = 3, 1.6 and 1.6 at d = 5, 1.4 and 1.4 at d = 8.
  void rebuild(Team& team) override {
    constexpr int64_t kGrain = 1 << 9;  // leaves
    const int64_t chunks = (nodes_[0] + kGrain - 1) / kGrain;
    std::vector<int64_t> begin_of(static_cast<size_t>(chunks) + 1, 0);
    for (int64_t l = 0; l < nodes_[0]; ++l)
      begin_of[static_cast<size_t>(l / kGrain) + 1] += live_below_[0][static_cast<size_t>(l)];
    for (size_t c = 1; c < begin_of.size(); ++c) begin_of[c] += begin_of[c - 1];
    std::unique_ptr<Key[]> keys = uninitialized<Key>(live_);
    team.for_chunks(nodes_[0], kGrain, [&](int64_t begin, int64_t end, int) {
      // A team of one takes its chunks one by one too, so begin is a multiple of kGrain.
      Key* out = keys.get() + begin_of[static_cast<size_t>(begin / kGrain)];
      for (int64_t slot = begin * kTreeLeaf; slot < end * kTreeLeaf; ++slot) {
        if (rank_[slot] == kNoRank) continue;
        for (int c = 0; c < D; ++c) out->x[c] = cell(slot)[c * kTreeLeaf];
        out->from = static_cast<uint32_t>(slot);
        ++out;
      }
    });
    const Source source{std::move(point_), std::move(rank_)};
    fill(keys.get(), live_, source, team);
  }

 private:
  static constexpr bool kRounded = sizeof(Real) < sizeof(double);
  static constexpr int64_t kAhead = 16;  // slots whose points are being fetched
  static constexpr Real kFar = std::numeric_limits<Real>::infinity();
  using Key = gtn::Key<Real, D>;

  // By a key's `from`.
  struct Source {
    AlignedArray<double> point;  // by cosine
    AlignedArray<uint32_t> rank;
  };

  Real* box(int level, int64_t node) const {
    return boxes_.get() + level_begin_[level] * (2 * kTreeFan * D) + node * (2 * kTreeFan * D);
  }
  // Coordinate 0 of a slot; the next one is kTreeLeaf further on.
  Real* cell(int64_t slot) const {
    return x_.get() + slot / kTreeLeaf * (D * kTreeLeaf) + slot % kTreeLeaf;
  }
  void kill(int64_t slot) override { *cell(slot) = std::numeric_limits<Real>::quiet_NaN(); }
  void empty(int level, int64_t child) override {
    box(level, child / kTreeFan)[child % kTreeFan] = kFar;
  }

  void fill(Key* keys, int64_t n, const Source& source, Team& team) {
    const int64_t nodes = lay_out(n);
    boxes_ = {};
    x_ = {};
    boxes_ = AlignedArray<Real>(nodes * (2 * kTreeFan * D));
    x_ = AlignedArray<Real>(nodes_[0] * kTreeLeaf * D);
    if constexpr (kRounded) point_ = AlignedArray<double>(nodes_[0] * kTreeLeaf * D);
    TreeCells<Real>& cells = cells_of<Real>(view_);
    for (int j = 1; j <= view_.levels; ++j) cells.box[j] = box(j, 0);
    cells.x = x_.get();
    view_.point = point_.get();
    Arranger<Real, D>(keys, n, view_.levels, team).run();
    team.for_chunks(nodes_[1], 1 << 8, [&](int64_t begin, int64_t end, int) {
      for (int64_t leaf = begin * kTreeFan; leaf < end * kTreeFan; ++leaf)
        fill_leaf(keys, source, leaf);
    });
    for (int level = 2; level <= view_.levels; ++level)
      for (int64_t child = 0; child < nodes_[level] * kTreeFan; ++child) fill_box(level, child);
  }

  // Leaf number `leaf` and its box in the node above; an empty box if there is none.
  void fill_leaf(const Key* keys, const Source& source, int64_t leaf) {
    Real low[D], high[D];
    std::fill_n(low, D, kFar);
    std::fill_n(high, D, -kFar);
    int live = 0;
    for (int i = 0; i < kTreeLeaf && leaf < nodes_[0]; ++i) {
      const int64_t slot = leaf * kTreeLeaf + i;
      Real* x = cell(slot);
      if (slot >= n_) {
        rank_[slot] = kNoRank;
        for (int c = 0; c < D; ++c) x[c * kTreeLeaf] = std::numeric_limits<Real>::quiet_NaN();
        continue;
      }
      if (slot + kAhead < n_) {
        const int64_t from = keys[slot + kAhead].from;
        __builtin_prefetch(source.rank.get() + from);
        if constexpr (kRounded) __builtin_prefetch(source.point.get() + from * D);
      }
      const Key& key = keys[slot];
      rank_[slot] = source.rank[key.from];
      if constexpr (kRounded)
        std::copy_n(source.point.get() + int64_t{key.from} * D, D, point_.get() + slot * D);
      ++live;
      for (int c = 0; c < D; ++c) {
        x[c * kTreeLeaf] = key.x[c];
        low[c] = std::min(low[c], key.x[c]);
        high[c] = std::max(high[c], key.x[c]);
      }
    }
    if (leaf < nodes_[0]) live_below_[0][static_cast<size_t>(leaf)] = static_cast<uint8_t>(live);
    set_box(1, leaf, low, high, live > 0);
  }

  void fill_box(int level, int64_t child) {
    Real low[D], high[D];
    std::fill_n(low, D, kFar);
    std::fill_n(high, D, -kFar);
    const bool there = child < nodes_[level - 1];
    if (there) {
      const Real* b = box(level - 1, child);
      for (int c = 0; c < D; ++c)
        for (int k = 0; k < kTreeFan; ++k) {
          low[c] = std::min(low[c], b[c * kTreeFan + k]);
          high[c] = std::max(high[c], b[(D + c) * kTreeFan + k]);
        }
    }
    set_box(level, child, low, high, there);
  }

  void set_box(int level, int64_t child, const Real* low, const Real* high, bool live) {
    Real* b = box(level, child / kTreeFan) + child % kTreeFan;
    for (int c = 0; c < D; ++c) {
      b[c * kTreeFan] = low[c];
      b[(D + c) * kTreeFan] = high[c];
    }
    if (live) ++live_below_[level][static_cast<size_t>(child / kTreeFan)];
  }

  AlignedArray<Real> boxes_, x_;
  AlignedArray<double> point_;  // by cosine
};

template <class Real, int D>
std::unique_ptr<TreeIndex> make_index(int64_t d) {
  if (d == D) return std::make_unique<TreeIndexOf<Real, D>>();
  if constexpr (D < kTreeMaxDim) return make_index<Real, D + 1>(d);
  return nullptr;
}

}  // namespace

std::unique_ptr<TreeIndex> TreeIndex::make(int64_t d, Metric metric) {
  return metric == Metric::kCosine ? make_index<float, 2>(d) : make_index<double, 1>(d);
}

int64_t TreeIndex::lay_out(int64_t n) {
  n_ = live_ = n;
  nodes_[0] = std::max<int64_t>(1, (n + kTreeLeaf - 1) / kTreeLeaf);
  int levels = 0;
  int64_t all = 0;
  do {
    ++levels;
    nodes_[levels] = (nodes_[levels - 1] + kTreeFan - 1) / kTreeFan;
    level_begin_[levels] = all;
    all += nodes_[levels];
  } while (nodes_[levels] > 1);
  rank_ = {};
  rank_ = AlignedArray<uint32_t>(nodes_[0] * kTreeLeaf);
  for (int j = 0; j <= levels; ++j) live_below_[j].assign(static_cast<size_t>(nodes_[j]), 0);
  view_.levels = levels;
  view_.rank = rank_.get();
  return all;
}

void TreeIndex::take(uint32_t slot, uint32_t next) {
  rank_[slot] = next;
  if (next != kNoRank) return;
  --live_;
  kill(slot);
  int64_t node = slot / kTreeLeaf;
  for (int level = 0; --live_below_[level][static_cast<size_t>(node)] == 0 && level < view_.levels;
       ++level) {
    empty(level + 1, node);
    node /= kTreeFan;
  }
}

}  // namespace gtn
