#include "cuda/loop.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "cuda/codes.h"

namespace gtn::cuda {
namespace {

constexpr int kGroups = 512;            // maxima per y
constexpr int kSmallestSample = 2048;   // columns
constexpr int kFewest = 2048;           // free x's below which blocks get no smaller
constexpr int kLargestBlock = 1 << 18;  // y's
constexpr int kManyFree = 1 << 18;  // from here on a block is a 16th of the free x's, not an 8th
constexpr int kVeryManyFree = 1 << 22;
constexpr int kMostEndColumns = 1 << 16;
constexpr int kDeepSplits = 32, kDeepCapacity = 24, kDeepNth = 8;
constexpr int kDeepRounds = 2;
constexpr int kInFlight = 4;

int64_t up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }
int tiles_of(int64_t cols) { return static_cast<int>(up(cols, kTile) / kTile); }

// Into how many stretches of columns the work is cut, so that all programs end together.
int splits_for(int row_programs, int tiles, int programs) {
  int best = 1;
  double best_share = 0.0;
  for (int splits = 1; splits <= std::min(tiles, 64); ++splits) {
    const int64_t items = int64_t{row_programs} * splits;
    const double share = static_cast<double>(items) / static_cast<double>(up(items, programs));
    if (share > best_share + 0.02) {
      best = splits;
      best_share = share;
    }
  }
  return best;
}

// `tiles` in at most `splits` stretches of whole `unit`s: how many each has, how many there are.
struct Cut {
  int each, count;
};

Cut cut(int tiles, int splits, int unit = 1) {
  const int units = (tiles + unit - 1) / unit;
  const int each = (units + splits - 1) / splits * unit;
  return {each, (tiles + each - 1) / each};
}

int row_programs_of(const Shape& shape, const Machine& machine, int64_t rows) {
  const int unit = machine.rows_of_program(shape.padded);
  return static_cast<int>(up(rows, unit) / unit);
}

Step block_at(const Shape& shape, const Machine& machine, int64_t begin, int64_t rows,
              int64_t cols) {
  Step s{};
  s.begin = static_cast<int>(begin);
  s.rows = static_cast<int>(rows);
  s.cols = static_cast<int>(cols);
  const int tiles = tiles_of(cols);
  const int row_programs = row_programs_of(shape, machine, rows);
  const Cut stretches = cut(tiles, splits_for(row_programs, tiles, machine.programs()));
  s.tiles_per_split = stretches.each;
  s.splits = stretches.count;
  // The more x's, the smaller the sample, and the more survivors, which then cost little.
  const int share = cols >= kVeryManyFree ? 32 : 16;
  const int wanted = 2 * share;  // survivors per y that a threshold aims at
  s.capacity = static_cast<int>(up(wanted * 7 / (8 * s.splits) + 12, 4));
  const int64_t sampled = std::max<int64_t>(cols / share, std::min<int64_t>(kSmallestSample, cols));
  s.sample = std::max(1, static_cast<int>(sampled / kTile));
  s.per = std::max(1, s.sample * 4 / kGroups);
  // As many maxima reach the threshold as the sample's share of what is wanted, but not so many
  // that several of one group would.
  const int64_t groups = int64_t{4} * ((s.sample + s.per - 1) / s.per);
  const int64_t nth = (int64_t{wanted} * s.sample * kTile + cols / 2) / cols;
  s.nth = static_cast<int>(std::clamp<int64_t>(nth, 1, std::min<int64_t>(kMaximaKept, groups / 2)));
  return s;
}

// Takes pieces of the working memory; with no memory it counts what would be taken.
class Pieces {
 public:
  explicit Pieces(void* base) : base_(static_cast<unsigned char*>(base)) {}
  template <class T>
  T* take(int64_t n) {
    T* const at = reinterpret_cast<T*>(base_ + used_);
    used_ = up(used_ + n * static_cast<int64_t>(sizeof(T)), 256);
    most_ = std::max(most_, used_);
    return at;
  }
  int64_t used() const { return used_; }
  void back_to(int64_t used) { used_ = used; }
  int64_t most() const { return most_; }

 private:
  unsigned char* base_;
  int64_t used_ = 0, most_ = 0;
};

// What a pass over the free x's finds for rows, and the lists that are made of it.
struct Lists {
  float* threshold;
  int *count, *cols_found, *col, *length;
  double* cosine;
};

struct Work {
  int* holder;
  // of a block
  float* maxima;
  Lists lists, deep;  // of its rows, of its dry rows
  int *deep_of, *holes, *movers, *dry_rows;
  unsigned char* deep_codes;
  // of the end
  double *x_direction, *y_direction, *cosines;
  uint32_t* col_rank;
};

Work lay_out(const Shape& shape, const Schedule& schedule, Pieces& pieces) {
  Work w{};
  w.holder = pieces.take<int>(shape.x);
  const int64_t common = pieces.used();
  if (!schedule.blocks.empty()) {
    int64_t rows = 0, maxima = 0, lists = 0, places = 0;
    for (const Step& s : schedule.blocks) {
      rows = std::max<int64_t>(rows, s.rows);
      maxima = std::max(maxima, int64_t{4} * ((s.sample + s.per - 1) / s.per) * s.rows);
      lists = std::max(lists, int64_t{4} * s.splits * s.rows);
      places = std::max(places, int64_t{4} * s.splits * s.rows * s.capacity);
    }
    w.maxima = pieces.take<float>(maxima);
    w.lists.threshold = pieces.take<float>(rows);
    w.lists.count = pieces.take<int>(lists);
    w.lists.cols_found = pieces.take<int>(places);
    w.lists.col = pieces.take<int>(rows * kList);
    w.lists.cosine = pieces.take<double>(rows * kList);
    w.lists.length = pieces.take<int>(rows);
    w.deep_of = pieces.take<int>(rows);
    w.holes = pieces.take<int>(rows);
    w.movers = pieces.take<int>(rows);
    w.dry_rows = pieces.take<int>(kMostDry);
    w.deep_codes = pieces.take<unsigned char>(kMostDry / kTile * tile_bytes(shape.padded));
    w.deep.threshold = pieces.take<float>(kMostDry);
    w.deep.count = pieces.take<int>(int64_t{kMostDry} * 4 * kDeepSplits);
    w.deep.cols_found = pieces.take<int>(int64_t{kMostDry} * 4 * kDeepSplits * kDeepCapacity);
    w.deep.col = pieces.take<int>(int64_t{kMostDry} * kDeepList);
    w.deep.cosine = pieces.take<double>(int64_t{kMostDry} * kDeepList);
    w.deep.length = pieces.take<int>(kMostDry);
  }
  pieces.back_to(common);
  if (schedule.end.rows > 0) {
    const int64_t rows = schedule.end.rows, cols = schedule.end.cols;
    w.x_direction = pieces.take<double>(cols * shape.d);
    w.y_direction = pieces.take<double>(rows * shape.d);
    w.cosines = pieces.take<double>(rows * cols);
    w.col_rank = pieces.take<uint32_t>(cols);
  }
  return w;
}

void fill_lists(ScreenParams& p, const Lists& lists) {
  p.threshold = lists.threshold;
  p.count = lists.count;
  p.cols_found = lists.cols_found;
}

// Lists out of what `screen` finds.
void choose_from(DecideParams& p, const ScreenParams& screen, const Lists& lists) {
  p.threshold = screen.threshold;
  p.count = screen.count;
  p.cols_found = screen.cols_found;
  p.lists = 4 * screen.splits;
  p.capacity = screen.capacity;
  p.list_col = lists.col;
  p.list_cosine = lists.cosine;
  p.list_length = lists.length;
}

void queue_block(Machine& machine, const Shape& shape, const Step& s, const Given& g, const Work& w,
                 bool last) {
  machine.fill(g.counters, 0, kBlockCounters * static_cast<int64_t>(sizeof(int)));
  machine.fill(w.deep_of, 0xff, int64_t{4} * s.rows);

  const unsigned char* const y = g.y_codes + s.begin / kTile * tile_bytes(shape.padded);
  ScreenParams screen{};
  screen.y = y;
  screen.x = g.x_codes;
  screen.counters = g.counters;
  screen.rows = s.rows;
  screen.cols = s.cols;
  screen.padded = shape.padded;
  screen.per = 1;
  screen.ld = s.rows;

  ScreenParams sample = screen;
  const int groups = (s.sample + s.per - 1) / s.per;
  const int row_programs = row_programs_of(shape, machine, s.rows);
  const Cut stretches = cut(s.sample, splits_for(row_programs, groups, machine.programs()), s.per);
  sample.tiles = s.sample;
  sample.per = s.per;
  sample.tiles_per_split = stretches.each;
  sample.splits = stretches.count;
  sample.maxima = w.maxima;
  machine.maxima(sample);
  machine.thresholds({g.counters, w.maxima, s.rows, s.rows, 4 * groups, s.nth, w.lists.threshold});

  screen.tiles = tiles_of(s.cols);
  screen.tiles_per_split = s.tiles_per_split;
  screen.splits = s.splits;
  screen.capacity = s.capacity;
  fill_lists(screen, w.lists);
  machine.survivors(screen);

  DecideParams decide{};
  decide.counters = g.counters;
  decide.x = g.x;
  decide.y = g.y;
  decide.d = shape.d;
  decide.rows = s.rows;
  decide.y_row = g.y_row + s.begin;
  decide.x_row = g.x_row;
  decide.rank = g.rank;
  decide.level_base = g.level_base + s.begin;
  decide.level_scale = g.level_scale;
  decide.keep = kList;
  decide.most = kSurvivors;
  choose_from(decide, screen, w.lists);
  machine.decide(decide);

  ProposeParams propose{g.counters, s.rows,        w.lists.col, w.lists.length, w.deep_of,
                        w.deep.col, w.deep.length, w.holder,    w.dry_rows,     0};
  machine.propose(propose);

  DeepenParams deepen{g.counters,   w.maxima,   s.rows,         4 * groups,        kDeepNth * s.nth,
                      shape.padded, w.dry_rows, w.lists.length, w.lists.threshold, w.deep.threshold,
                      w.deep_of,    y,          w.deep_codes};
  deepen.nth = std::min(deepen.nth, deepen.groups / 2);
  ScreenParams again = screen;
  again.deep = 1;
  again.y = w.deep_codes;
  again.rows = kMostDry;
  const Cut deep_stretches = cut(screen.tiles, kDeepSplits);
  again.tiles_per_split = deep_stretches.each;
  again.splits = deep_stretches.count;
  again.capacity = kDeepCapacity * kDeepSplits / again.splits;
  fill_lists(again, w.deep);
  DecideParams decide_deep = decide;
  decide_deep.deep = 1;
  decide_deep.rows = kMostDry;
  decide_deep.row_in_block = w.dry_rows;
  decide_deep.keep = kDeepList;
  decide_deep.most = kDeepSurvivors;
  choose_from(decide_deep, again, w.deep);
  propose.deep = 1;
  for (int round = 0; round < kDeepRounds; ++round) {
    machine.next_round(g.counters);
    machine.deepen(deepen);
    machine.survivors(again);
    machine.decide(decide_deep);
    machine.propose(propose);
  }

  machine.finish({g.counters, s.rows, s.begin, w.lists.col, w.lists.cosine, w.lists.length,
                  w.deep_of, w.deep.col, w.deep.cosine, w.deep.length, w.holder, g.x_row, g.chosen,
                  g.cosine});
  if (!last)
    machine.compact({g.counters, g.x_codes, g.x_row, w.holder, w.holes, w.movers, s.cols,
                     s.cols - s.rows, shape.padded});
}

EndParams end_params(const Shape& shape, const Step& s, const Given& g, const Work& w) {
  return {g.counters,        g.x,      g.y,     shape.d,       s.rows,        s.cols,    s.begin,
          g.y_row + s.begin, g.x_row,  g.rank,  w.x_direction, w.y_direction, w.cosines, w.col_rank,
          w.holder,          g.chosen, g.cosine};
}

}  // namespace

Schedule schedule(const Shape& shape, const Machine& machine) {
  Schedule made{};
  int64_t begin = 0, cols = shape.x;
  while (begin < shape.y) {
    const int64_t left = shape.y - begin;
    if (left * cols <= shape.end_pairs && cols <= kMostEndColumns) {
      made.end.begin = static_cast<int>(begin);
      made.end.rows = static_cast<int>(left);
      made.end.cols = static_cast<int>(cols);
      break;
    }
    const int64_t share = cols >= kManyFree ? cols / 16 : cols / 8;
    int64_t rows = shape.block > 0 ? shape.block : std::max<int64_t>(share, kFewest / 8);
    rows = std::min(up(std::min<int64_t>(rows, kLargestBlock), kBlockRows), left);
    made.blocks.push_back(block_at(shape, machine, begin, rows, cols));
    begin += rows;
    cols -= rows;
  }
  Pieces counted(nullptr);
  lay_out(shape, made, counted);
  made.work_bytes = counted.most();
  return made;
}

Counters run(Machine& machine, const Shape& shape, const Schedule& schedule, const Given& given,
             const std::function<void(int64_t)>& progress) {
  Pieces pieces(given.work);
  const Work work = lay_out(shape, schedule, pieces);
  machine.fill(given.counters, 0, sizeof(Counters));
  static_assert(kEmpty == 0x7f7f7f7f, "fill() sets bytes");
  machine.fill(work.holder, 0x7f, int64_t{4} * shape.x);
  const int steps = static_cast<int>(schedule.blocks.size()) + (schedule.end.rows > 0 ? 1 : 0);
  int seen = 0;  // steps that are known to be over
  Counters last{};
  const auto wait = [&] {
    using namespace std::chrono_literals;
    for (int turn = 0; !machine.arrived(seen % Machine::kPlaces); ++turn) {
      if (turn < 2000) continue;
      std::this_thread::sleep_for(turn < 2500 ? 20us : 1000us);
      if (turn % 50 == 0) progress(last.done);
    }
    last = machine.counters_at(seen++ % Machine::kPlaces);
    progress(last.done);
  };
  for (int step = 0; step < steps && last.failed == 0; ++step) {
    if (step < static_cast<int>(schedule.blocks.size()))
      queue_block(machine, shape, schedule.blocks[static_cast<size_t>(step)], given, work,
                  step == steps - 1);
    else
      machine.end(end_params(shape, schedule.end, given, work));
    machine.send(given.counters, step % Machine::kPlaces);
    while (step - seen >= kInFlight) wait();
    if (last.failed != 0) break;
    if (step == steps - 1)
      while (seen < steps) wait();
  }
  return last;
}

}  // namespace gtn::cuda
