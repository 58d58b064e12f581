// Short lists for a tile of y's: every free x is screened, few are evaluated.
#pragma once

#include <cstdint>
#include <vector>

#include "strategies/screen/row_exact.h"
#include "strategies/screen/shortlist.h"
#include "strategies/screen/store.h"

namespace gtn {

// The lists of a block of y's, a fixed number of places each.
struct BlockLists {
  int places = 0;
  std::vector<uint32_t> y_rank;
  std::vector<Candidate> candidates;
  std::vector<ListState> state;
  // A y's cosines are measured in units of `unit` from `mean`.
  std::vector<double> mean, unit;

  void reset(int places_a_list, size_t n) {
    places = places_a_list;
    y_rank.resize(n);
    candidates.resize(n * static_cast<size_t>(places));
    state.assign(n, ListState{});
    mean.assign(n, 0.0);
    unit.assign(n, 1.0);
  }
  Candidate* list(size_t i) { return candidates.data() + i * static_cast<size_t>(places); }
  const Candidate* list(size_t i) const {
    return candidates.data() + i * static_cast<size_t>(places);
  }
};

// Where lists may start, so that the first panels do not flood them: at mean +
// height * unit of a y's cosines. Unit is 1, or their deviation on a sample of X.
struct Floor {
  double height = -1e9;
  bool sampled = false;
};

struct ScreenCounters {
  int64_t screened = 0;   // pairs scored in low precision
  int64_t skipped = 0;    // pairs ruled out by their frame alone
  int64_t survivors = 0;  // pairs whose bound reached the threshold
  int64_t estimated = 0;  // of those, evaluated in float
  int64_t rescored = 0;   // pairs evaluated exactly
  void operator+=(const ScreenCounters& other) {
    screened += other.screened;
    skipped += other.skipped;
    survivors += other.survivors;
    estimated += other.estimated;
    rescored += other.rescored;
  }
};

// One thread's worker; keeps its scratch between tiles.
class ScreenSearch {
 public:
  ScreenSearch(const Problem& problem, const FreeItems& items, const ScreenStore& store,
               const Kernels& kernels, const Team& team, bool out_of_core);

  // Fills lists [begin, end). `wanted` candidates a y at least, unless fewer reach
  // the floor, below which a list need not be complete; `certain` of them evaluated and in
  // certain order.
  void search(BlockLists& lists, size_t begin, size_t end, int wanted, int certain,
              const Floor& floor);

  // Evaluates the rest of list i.
  void deepen_list(BlockLists& lists, size_t i);

  ScreenCounters counters;

 private:
  // A y of the tile, quantised: direction = scale * code + rest.
  struct Query {
    double scale, code_norm, rest;
    int32_t offset;  // what the unsigned storage of x codes adds to its scores
  };
  // A y's view of a frame: cosine <= base + unit * (score - offset) + error.
  struct View {
    double base, unit, error;
  };
  struct alignas(64) CacheLine {
    int8_t codes[64] = {};
  };
  // A survivor: the codes' value of y's cosine with x's row. It waits for its row to
  // arrive in the cache; kNoRank where none is sent for, since the codes of a small frame
  // say more than an estimate would.
  struct Pending {
    uint32_t y, item, row;
    double value;
  };
  // What an exact cosine must reach for the list: `ties` where its head may be small
  // enough to win a tie with the list's level, `beyond` where it cannot be.
  struct Bar {
    double ties, beyond;
    uint32_t rank;
  };
  RowExact exact(const double* direction) {
    return RowExact(problem_, items_, kernels_, direction, counters.rescored);
  }
  const double* direction(size_t y) const {
    return direction_.data() + y * static_cast<size_t>(problem_.x.cols);
  }
  void prepare(const BlockLists& lists, size_t begin, size_t end);
  void measure(BlockLists& lists, size_t begin, bool sampled);
  void sample_scores(BlockLists& lists, size_t begin);
  void compute_bases();
  void visit_nearest();
  void visit(size_t frame, const std::vector<uint32_t>& ys);
  // Cache lines that the codes of a y fill.
  size_t lines() const {
    return static_cast<size_t>(code_stride(store_.steps())) / sizeof(CacheLine);
  }
  const int8_t* codes_of_active();
  void screen_frame(const Frame& frame);
  void evaluate_frame(const Frame& frame);
  void evaluate_rest(const Frame& frame, int32_t group);
  void evaluate_group(const double* group, const double* next, int64_t first_column,
                      uint32_t least_head);
  void set_bar(size_t y);
  int32_t integer_threshold(size_t y) const;
  void take_hits(const Hit* hits, int n, const uint32_t* tile_y, int64_t first_column);
  int64_t take_pending();
  bool estimate(const Pending& pending, double* cosine) const;

  const Problem& problem_;
  const FreeItems& items_;
  const ScreenStore& store_;
  const Kernels& kernels_;
  const Team& team_;
  const bool near_;              // rows of X are at hand: estimate survivors
  const double estimate_error_;  // of estimate(), at most

  size_t n_ = 0;  // y's in the tile
  int64_t columns_seen_ = 0;
  double seen_ = 1.0;  // share of the columns, where they come in fair order
  int flood_ = 0;      // frames of neighbours to evaluate without asking their codes
  bool warm_ = false;  // thresholds were raised by a first look
  std::vector<double> direction_, rotated_, scratch_;
  std::vector<CacheLine> code_;         // of the tile's y's, code_stride() apart
  std::vector<CacheLine> active_code_;  // of those that a frame serves, if not all
  std::vector<Query> query_;
  std::vector<View> view_;
  std::vector<double> base_;       // [frame][y]: rotated direction . centre
  std::vector<uint32_t> nearest_;  // the frame each y looked at first
  std::vector<Shortlist> shortlist_;
  std::vector<int32_t> threshold_;
  std::vector<double> group_;  // directions of a group, [dimension][column]
  std::vector<Bar> bar_;
  std::vector<uint32_t> all_, active_;
  std::vector<Hit> hits_;
  std::vector<float> direction_f32_;
  std::vector<Pending> pending_;
};

}  // namespace gtn
