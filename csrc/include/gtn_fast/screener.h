// A part of X (a shard) that is screened for block after block of y's, while someone else
// decides who gets what: several processes, each with a shard of its own, make one matching.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "gtn_fast/match.h"

namespace gtn {

// Lists of n y's, `places` each, row-major, written by Screener::search.
struct ShardLists {
  static constexpr uint32_t kNone = 0xFFFFFFFF;  // no candidate here
  int64_t places = 0;
  uint32_t* row = nullptr;         // first_row + row of the shard; kNone after the last
  double* cosine = nullptr;        // exact; -inf where there is none
  double* level_cosine = nullptr;  // by y
  uint32_t* level_rank = nullptr;  // by y; kNone: every rank
  double* deep_level = nullptr;    // by y: where learn()'s levels may come from
};

class Screener {
 public:
  // Of the rows of x, those of `rows` are free. `rank`, by row: its place in the norm order of
  // all X, ascending along that of the shard (std::invalid_argument if not). Row numbers in lists
  // start at `first_row`. x stays the caller's and unchanged.
  Screener(const MatrixView& x, const Rows& rows, const uint32_t* rank, int64_t first_row,
           int threads, Control* control);
  ~Screener();

  // For each row of y its best free x's, best first, `wanted` at least if so many are free and
  // reach the floor (see learn), as far as there is room. A list holds every free x of the shard
  // whose (cosine, rank) is at least as good as its level: a higher cosine, or an equal one and a
  // rank that is not above the level's. `again`: no floor, and learn() stays with the block before.
  void search(const MatrixView& y, int wanted, bool again, const ShardLists& out);

  // Where the lists of the last block really end, once those of all shards are merged (the
  // highest deep_level of each y): the next block's may start a little below.
  void learn(const double* level, int64_t n);

  // These rows (from first_row) were chosen, in this order. Of bitwise equal directions the one
  // of smallest rank must go first (std::invalid_argument if not).
  void take(const uint32_t* rows, int64_t n);

  Report report() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gtn
