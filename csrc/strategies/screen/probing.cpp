#include "strategies/screen/probing.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <utility>

#include "strategies/screen/blocks.h"

namespace gtn {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kPortion = 8192;        // whose nearest centres are found at once
constexpr int64_t kLargestFrame = 4096;  // columns

Problem problem_of(const MatrixView& centres, Team& team) {
  Problem problem;
  problem.x = centres;
  problem.x_scale = row_scales(centres, {}, team);
  problem.x_by_norm = norm_order(problem.x_scale, {}, team);
  return problem;
}

}  // namespace

// The centres under screening, as if they were X. A list has the number of its centre's item.
class Probing::Centres {
 public:
  Centres(const MatrixView& centres, Team& team)
      : problem_(problem_of(centres, team)),
        classes_(direction_classes(problem_, team)),
        items_(classes_),
        blocks_(problem_, items_, team) {}

  int64_t count() const { return items_.count(); }
  int64_t alive() const { return blocks_.items_free(); }
  bool dropped(uint32_t list) const { return !items_.free(list); }
  void drop(uint32_t list) {
    while (items_.free(list)) items_.take(list);
    blocks_.kill(list);
  }

  // Calls take(i, lists, known) for each of the askers ranks[0..n) with its nearest lists, best
  // first, so many as `wanted` or more; again with more of them while take() returns false.
  template <class Take>
  void nearest(const Askers& askers, const uint32_t* ranks, size_t n, int64_t wanted,
               const Take& take) {
    blocks_.refresh();
    pending_.resize(n);
    std::iota(pending_.begin(), pending_.end(), 0);
    for (bool again = false; !pending_.empty(); again = true, wanted *= 2) {
      wanted = std::min(wanted, alive());
      lists_.reset(static_cast<int>(2 * wanted + 16), pending_.size());
      for (size_t k = 0; k < pending_.size(); ++k) lists_.y_rank[k] = ranks[pending_[k]];
      blocks_.search(lists_, static_cast<int>(wanted), static_cast<int>(wanted), again, askers);
      if (!again) learn();
      size_t left = 0;
      for (size_t k = 0; k < pending_.size(); ++k)
        if (!take(pending_[k], lists_.list(k), int64_t{lists_.state[k].exact}))
          pending_[left++] = pending_[k];
      pending_.resize(left);
    }
  }

 private:
  void learn() {
    level_.clear();
    for (const ListState& state : lists_.state) level_.push_back(state.deep_level.cosine);
    blocks_.set_floor(lists_, level_);
  }

  const Problem problem_;
  const DirectionClasses classes_;
  FreeItems items_;
  ScreenBlocks blocks_;
  BlockLists lists_;
  std::vector<double> level_;
  std::vector<size_t> pending_;
};

Probing::Probing(const MatrixView& centres, const Problem& problem, const FreeItems& items,
                 Team& team)
    : problem_(problem), items_(items), centres_(std::make_unique<Centres>(centres, team)) {
  assign();
  make_layout();
  drop_empty();
}

Probing::~Probing() = default;

void Probing::assign() {
  std::vector<uint32_t> row_of(static_cast<size_t>(items_.count())), free;
  for (uint32_t item = 0; item < row_of.size(); ++item) {
    row_of[item] = x_row(problem_, items_, item);
    if (items_.free(item)) free.push_back(item);
  }
  list_of_.assign(row_of.size(), kNoRank);
  live_.assign(static_cast<size_t>(centres_->count()), 0);
  const Askers askers{problem_.x, problem_.x_scale, row_of};
  for (size_t begin = 0; begin < free.size(); begin += kPortion) {
    const uint32_t* const part = free.data() + begin;
    const auto take = [&](size_t i, const Candidate* nearest, int64_t known) {
      if (known == 0) return false;
      list_of_[part[i]] = nearest[0].item;
      ++live_[nearest[0].item];
      return true;
    };
    centres_->nearest(askers, part, std::min(kPortion, free.size() - begin), 1, take);
  }
}

void Probing::make_layout() {
  layout_.neighbours = true;
  first_frame_.assign(1, 0);
  std::vector<int64_t> at;
  int64_t end = 0;
  for (const int64_t n : live_) {
    const int64_t frames = (n + kLargestFrame - 1) / kLargestFrame;
    for (int64_t f = 0; f < frames; ++f) layout_.frame_begin.push_back(end + n * f / frames);
    first_frame_.push_back(static_cast<uint32_t>(layout_.frame_begin.size()));
    at.push_back(end);
    end += n;
  }
  layout_.frame_begin.push_back(end);
  layout_.items.resize(static_cast<size_t>(end));
  for (uint32_t item = 0; item < list_of_.size(); ++item)
    if (list_of_[item] != kNoRank) layout_.items[static_cast<size_t>(at[list_of_[item]]++)] = item;
}

void Probing::drop_empty() {
  for (uint32_t list = 0; list < live_.size(); ++list)
    if (live_[list] == 0 && !centres_->dropped(list)) centres_->drop(list);
}

int64_t Probing::probes_of(const Candidate* nearest, int64_t known) const {
  const int64_t alive = centres_->alive();
  bool live = false;
  int64_t n = 0;
  for (int64_t wanted = probed_;; wanted *= 2) {
    wanted = std::min(wanted, alive);
    if (known < wanted) return 0;
    for (; n < wanted; ++n) live = live || live_[nearest[n].item] > 0;
    if (live || n == alive || problem_.min_cosine != kAnyCosine) return n;
  }
}

void Probing::find(const BlockLists& lists, Probes& out) {
  const auto start = Clock::now();
  const Askers askers{problem_.y, problem_.y_scale, problem_.y_by_norm};
  out.begin.assign(1, 0);
  out.frame.clear();
  probed_lists_.resize(std::min(kPortion, lists.size()));
  for (size_t begin = 0; begin < lists.size(); begin += kPortion) {
    const size_t n = std::min(kPortion, lists.size() - begin);
    const auto take = [&](size_t i, const Candidate* nearest, int64_t known) {
      const int64_t probes = probes_of(nearest, known);
      probed_lists_[i].clear();
      for (int64_t p = 0; p < probes; ++p) probed_lists_[i].push_back(nearest[p].item);
      return probes > 0;
    };
    centres_->nearest(askers, lists.y_rank.data() + begin, n, probed_, take);
    for (size_t i = 0; i < n; ++i) {
      for (const uint32_t list : probed_lists_[i])
        for (uint32_t f = first_frame_[list]; f < first_frame_[list + 1]; ++f)
          out.frame.push_back(f);
      out.begin.push_back(out.frame.size());
    }
  }
  seconds_ += std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace gtn
