// The bodies of the kernels other than the screen: thresholds, lists, choices, compaction, end.
#pragma once

#include "cuda/codes.h"
#include "cuda/exact.h"
#include "cuda/params.h"

namespace gtn::cuda {

GTN_BOTH bool better(double cosine_a, uint32_t rank_a, double cosine_b, uint32_t rank_b) {
  return cosine_a > cosine_b || (cosine_a == cosine_b && rank_a < rank_b);
}

// How many rows a kernel has to do with.
GTN_BOTH int rows_there(const Counters* counters, int deep, int rows) {
  if (deep == 0) return rows;
  return counters->deep_begin < counters->deep_end ? counters->deep_end : 0;
}

// A row's threshold: the nth largest of its maxima, a score that about `nth` x's of the sample
// reach. Any threshold is right; this one lets about as many survive as are wanted.
GTN_BOTH void threshold_of(const ThresholdParams& p, int row) {
  float best[kMaximaKept];
  for (float& each : best) each = -3.402823466e38f;
  for (int begin = 0; begin < p.groups; begin += 8) {
    float next[8];  // all at once, so that their ways from memory overlap
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
    for (int i = 0; i < 8; ++i)
      next[i] = begin + i < p.groups ? p.maxima[(begin + i) * p.ld + row] : best[kMaximaKept - 1];
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
    for (float value : next) {
      if (value <= best[kMaximaKept - 1]) continue;
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
      for (float& each : best) {
        const float larger = value > each ? value : each;
        value = value > each ? each : value;
        each = larger;
      }
    }
  }
  float chosen = best[0];
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
  for (int i = 0; i < kMaximaKept; ++i)
    if (i < p.nth) chosen = best[i];
  p.threshold[row] = chosen;
}

// What a group needs beside its registers: directions, candidates.
GTN_BOTH int decide_bytes(int d, int most) { return d * 8 + most * (8 + 4 + 4) + 64 * 4; }

template <class Group>
GTN_BOTH void decide(const DecideParams& p, int at, unsigned char* shared, const Group& group) {
  const int row = p.row_in_block != nullptr ? p.row_in_block[at] : at;
  double* const y = reinterpret_cast<double*>(shared);
  double* const cosine = y + p.d;
  int* const col = reinterpret_cast<int*>(cosine + p.most);
  uint32_t* const rank = reinterpret_cast<uint32_t*>(col + p.most);
  int* const scratch = reinterpret_cast<int*>(rank + p.most);
  for (int k = group.lane; k < p.d; k += Group::width) y[k] = direction_at(p.y, p.y_row[row], k);
  int found = 0, over = 0;
  for (int begin = 0; begin < p.lists; begin += Group::width) {
    const int list = begin + group.lane;
    int n = list < p.lists ? p.count[static_cast<int64_t>(at) * p.lists + list] : 0;
    over |= n > p.capacity;
    n = n < p.capacity ? n : p.capacity;
    int total = 0;
    int place = found + group.before(n, &total, scratch);
    const int* const from = p.cols_found + (static_cast<int64_t>(at) * p.lists + list) * p.capacity;
    for (int i = 0; i < n; ++i, ++place)
      if (place < p.most) col[place] = from[i];
    found += total;
  }
  over = group.sum(over, scratch);
  group.sync();
  if (over > 0 || found > p.most) {
    if (group.lane == 0) p.list_length[at] = -1;
    return;
  }
  for (int i = group.lane; i < found; i += Group::width) {
    const int x = p.x_row[col[i]];
    cosine[i] = cosine_with(y, p.x, x, p.d);
    rank[i] = p.rank[x];
  }
  group.sync();
  const double level = p.level_base[row] + static_cast<double>(p.threshold[at]) * p.level_scale;
  int certain = 0;
  for (int i = group.lane; i < found; i += Group::width) {
    certain += cosine[i] >= level;
    int place = 0;
    for (int j = 0; j < found; ++j) place += better(cosine[j], rank[j], cosine[i], rank[i]);
    if (place >= p.keep) continue;
    p.list_col[static_cast<int64_t>(at) * p.keep + place] = col[i];
    p.list_cosine[static_cast<int64_t>(at) * p.keep + place] = cosine[i];
  }
  certain = group.sum(certain, scratch);
  if (group.lane == 0) {
    p.list_length[at] = certain < p.keep ? certain : p.keep;
    atomic_add(&p.counters->survivors, found);
  }
}

// A row's list: its deep one if it has one.
GTN_BOTH const int* list_of(const int* list_col, const int* list_length, const int* deep_of,
                            const int* deep_col, const int* deep_length, int row, int* length) {
  const int deep = deep_of[row];
  if (deep < 0) {
    *length = list_length[row];
    return list_col + static_cast<int64_t>(row) * kList;
  }
  *length = deep_length[deep];
  return deep_col + static_cast<int64_t>(deep) * kDeepList;
}

// One y proposes to its candidates, best first. An x takes it if no earlier y holds the x; the
// one that loses the x is carried on from there. Deferred acceptance: all x's rank the y's alike,
// by turn, so that its only stable matching is the one in which they choose in turn, whatever the
// order in which threads get here. A list that ends leaves its row to the next round.
GTN_BOTH void propose(const ProposeParams& p, int item) {
  int row = p.deep != 0 ? p.dry_rows[item] : item;
  int place = 0;
  for (;;) {
    int length = 0;
    const int* const list =
        list_of(p.list_col, p.list_length, p.deep_of, p.deep_col, p.deep_length, row, &length);
    if (place >= length) {
      const int at = atomic_add(&p.counters->dry, 1);
      if (p.deep_of[row] >= 0) p.counters->failed = kTooManySurvivors;
      if (at < kMostDry) p.dry_rows[at] = row;
      return;
    }
    const int col = list[place];
    const int held = atomic_min(&p.holder[col], row);
    if (held == kEmpty) return;
    if (held < row) {
      ++place;
      continue;
    }
    row = held;
    const int* const other =
        list_of(p.list_col, p.list_length, p.deep_of, p.deep_col, p.deep_length, row, &length);
    place = 0;
    while (place < length && other[place] != col) ++place;
    ++place;
  }
}

// Between two rounds: the rows that ran dry since the last are those of the next.
GTN_BOTH void next_round(Counters* counters) {
  if (counters->dry > kMostDry) {
    counters->failed = kTooManyDry;
    return;
  }
  counters->deep_begin = counters->deep_end;
  counters->deep_end = counters->dry;
  counters->deepened += counters->deep_end - counters->deep_begin;
}

// The threshold of a dry row: so low that `nth` of its maxima reach it; its codes go beside those
// of the other dry rows. A row that had too many survivors keeps its threshold.
template <class Group>
GTN_BOTH void deepen(const DeepenParams& p, int at, const Group& group) {
  const int row = p.dry_rows[at];
  for (int c = group.lane; c < p.padded / kChunk; c += Group::width) {
    const int64_t from = chunk_offset(row, c, p.padded), to = chunk_offset(at, c, p.padded);
    for (int i = 0; i < 2; ++i)
      reinterpret_cast<uint64_t*>(p.deep_codes + to)[i] =
          reinterpret_cast<const uint64_t*>(p.y + from)[i];
  }
  float threshold = p.threshold[row];
  if (p.list_length[row] >= 0) {
    // Bisection: after 24 halvings, the lower end of an interval that holds the nth largest.
    float low = 3.402823466e38f, high = -3.402823466e38f;
    for (int g = 0; g < p.groups; ++g) {
      const float value = p.maxima[g * p.ld + row];
      low = value < low ? value : low;
      high = value > high ? value : high;
    }
    for (int step = 0; step < 24; ++step) {
      const float middle = low * 0.5f + high * 0.5f;
      int reach = 0;
      for (int g = 0; g < p.groups; ++g) reach += p.maxima[g * p.ld + row] >= middle;
      (reach >= p.nth ? low : high) = middle;
    }
    threshold = low < threshold ? low : threshold;
  }
  if (group.lane == 0) {
    p.deep_threshold[at] = threshold;
    p.deep_of[row] = at;
  }
}

GTN_BOTH void finish(const FinishParams& p, int row) {
  if (p.counters->dry > p.counters->deep_end) {
    if (row == 0) p.counters->failed = kDryAgain;
    return;
  }
  int length = 0;
  const int* const list =
      list_of(p.list_col, p.list_length, p.deep_of, p.deep_col, p.deep_length, row, &length);
  const double* const cosine =
      p.deep_of[row] < 0 ? p.list_cosine + static_cast<int64_t>(row) * kList
                         : p.deep_cosine + static_cast<int64_t>(p.deep_of[row]) * kDeepList;
  for (int i = 0; i < length; ++i)
    if (p.holder[list[i]] == row) {
      p.chosen[p.begin + row] = p.x_row[list[i]];
      p.cosine[p.begin + row] = cosine[i];
      break;
    }
  if (row == 0) p.counters->done = p.begin + p.rows;
}

GTN_BOTH void collect(const CompactParams& p, int col) {
  const bool taken = p.holder[col] != kEmpty;
  if (col < p.left) {
    if (taken) p.holes[atomic_add(&p.counters->holes, 1)] = col;
  } else if (!taken) {
    p.movers[atomic_add(&p.counters->movers, 1)] = col;
  }
}

template <class Group>
GTN_BOTH void move(const CompactParams& p, int at, const Group& group) {
  const int from = p.movers[at], to = p.holes[at];
  for (int c = group.lane; c < p.padded / kChunk; c += Group::width)
    for (int i = 0; i < 2; ++i)
      reinterpret_cast<uint64_t*>(p.x + chunk_offset(to, c, p.padded))[i] =
          reinterpret_cast<const uint64_t*>(p.x + chunk_offset(from, c, p.padded))[i];
  if (group.lane == 0) {
    p.x_row[to] = p.x_row[from];
    p.holder[to] = kEmpty;
  }
}

// --- the end -----------------------------------------------------------------------------------

template <class Group>
GTN_BOTH void end_direction(const EndParams& p, int item, const Group& group) {
  const bool of_x = item < p.cols;
  const int at = of_x ? item : item - p.cols;
  const int row = of_x ? p.x_row[at] : p.y_row[at];
  double* const to = (of_x ? p.x_direction : p.y_direction) + static_cast<int64_t>(at) * p.d;
  for (int k = group.lane; k < p.d; k += Group::width)
    to[k] = direction_at(of_x ? p.x : p.y, row, k);
  if (of_x && group.lane == 0) {
    p.col_rank[at] = p.rank[row];
    p.holder[at] = kEmpty;
  }
}

// A row proposes to the best x that no earlier row holds, until one takes it; what that x held
// goes on.
template <class Group>
GTN_BOTH void end_propose(const EndParams& p, int row, const Group& group) {
  for (;;) {
    const double* const cosines = p.cosines + static_cast<int64_t>(row) * p.cols;
    int best = -1;
    double best_cosine = 0.0;
    uint32_t best_rank = 0;
    for (int col = group.lane; col < p.cols; col += Group::width) {
      if (fresh(&p.holder[col]) < row) continue;
      if (best < 0 || better(cosines[col], p.col_rank[col], best_cosine, best_rank)) {
        best = col;
        best_cosine = cosines[col];
        best_rank = p.col_rank[col];
      }
    }
    group.best(&best, &best_cosine, &best_rank);
    int held = 0;
    if (group.lane == 0) held = atomic_min(&p.holder[best], row);
    held = group.from_first(held);
    if (held == kEmpty) return;
    if (held > row) row = held;
  }
}

GTN_BOTH void end_finish(const EndParams& p, int col) {
  const int row = p.holder[col];
  if (row == kEmpty) return;
  p.chosen[p.begin + row] = p.x_row[col];
  p.cosine[p.begin + row] = p.cosines[static_cast<int64_t>(row) * p.cols + col];
  if (row == 0) p.counters->done = p.begin + p.rows;
}

}  // namespace gtn::cuda
