#include "strategies/screen/probing.h"

#include <algorithm>

namespace gtn {
namespace {

constexpr int64_t kItemsTile = 512;      // items whose lists are found at once
constexpr int64_t kLargestFrame = 4096;  // columns

}  // namespace

Probing::Probing(const MatrixView& centres, const Problem& problem, const FreeItems& items,
                 Team& team)
    : problem_(problem), items_(items), centres_(centres, team) {
  assign(team);
  make_layout();
  drop_empty();
  for (int t = 0; t < team.size(); ++t) nearest_.emplace_back(centres_);
}

void Probing::assign(Team& team) {
  std::vector<uint32_t> row_of(static_cast<size_t>(items_.count())), free;
  for (uint32_t item = 0; item < row_of.size(); ++item) {
    row_of[item] = x_row(problem_, items_, item);
    if (items_.free(item)) free.push_back(item);
  }
  list_of_.assign(row_of.size(), kNoRank);
  const Askers askers{problem_, true, row_of};
  struct Worker {
    explicit Worker(const Centres& centres) : tile(centres.inputs(), rescored), nearest(centres) {}
    int64_t rescored = 0;
    YTile tile;
    NearestLists nearest;
  };
  std::deque<Worker> workers;
  for (int t = 0; t < team.size(); ++t) workers.emplace_back(centres_);
  const int64_t n = static_cast<int64_t>(free.size());
  team.for_chunks(n, kItemsTile, [&](int64_t begin, int64_t end, int thread) {
    Worker& worker = workers[static_cast<size_t>(thread)];
    const uint32_t* const some = free.data() + begin;
    worker.tile.load(askers, some, static_cast<size_t>(end - begin), false);
    worker.nearest.find(worker.tile, 1, [&](size_t i, const std::vector<uint32_t>& lists) {
      list_of_[some[i]] = lists[0];
      return true;
    });
  });
  live_.assign(static_cast<size_t>(centres_.count()), 0);
  for (const uint32_t item : free) ++live_[list_of_[item]];
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
  const int64_t before = centres_.alive();
  for (uint32_t list = 0; list < live_.size(); ++list)
    if (live_[list] == 0 && !centres_.dropped(list)) centres_.drop(list);
  if (centres_.alive() < before) centres_.close_gaps();
}

bool Probing::enough(const std::vector<uint32_t>& lists) const {
  if (problem_.min_cosine != kAnyCosine) return true;
  if (static_cast<int64_t>(lists.size()) == centres_.alive()) return true;
  return std::any_of(lists.begin(), lists.end(), [&](uint32_t list) { return live_[list] > 0; });
}

void Probing::find(const YTile& tile, int thread, Probes& out) {
  out.begin.assign(1, 0);
  out.frame.clear();
  nearest_[static_cast<size_t>(thread)].find(
      tile, probed_, [&](size_t, const std::vector<uint32_t>& lists) {
        if (!enough(lists)) return false;
        for (const uint32_t list : lists)
          for (uint32_t f = first_frame_[list]; f < first_frame_[list + 1]; ++f)
            out.frame.push_back(f);
        out.begin.push_back(out.frame.size());
        return true;
      });
}

}  // namespace gtn
