// d = 1: a direction is +1, -1 or 0, so three queues in norm order are the whole state.
#include <array>
#include <vector>

#include "gtn_fast/match.h"

namespace gtn {
namespace {

struct Queue {
  std::vector<uint32_t> ranks;  // ascending
  size_t head = 0;
  bool empty() const { return head == ranks.size(); }
  uint32_t front() const { return ranks[head]; }
};

// 0: negative, 1: zero, 2: positive.
int side(const MatrixView& a, const std::vector<RowScale>& scale, int64_t row) {
  double v = 0.0;
  row_direction(a, row, scale[static_cast<size_t>(row)], &v);
  return v < 0.0 ? 0 : v > 0.0 ? 2 : 1;
}

// The queue that a y of the given side takes from; -1 if all are empty.
int choose(const std::array<Queue, 3>& queues, int y_side) {
  if (y_side != 1) {  // cosines 1, 0, -1, each side in norm order
    for (const int q : {y_side, 1, 2 - y_side})
      if (!queues[static_cast<size_t>(q)].empty()) return q;
  }
  int best = -1;  // a zero y: cosine 0 with all, the smallest rank
  for (int q = 0; q < 3; ++q) {
    const Queue& queue = queues[static_cast<size_t>(q)];
    if (queue.empty()) continue;
    if (best < 0 || queue.front() < queues[static_cast<size_t>(best)].front()) best = q;
  }
  return best;
}

}  // namespace

void match_ray(const Problem& problem, const Options&, Team& team, Report& report,
               Assignment& out) {
  constexpr int64_t kTick = 1 << 16;
  std::array<Queue, 3> queues;
  for (int64_t rank = 0; rank < problem.n_x(); ++rank) {
    if (rank % kTick == 0) team.check();
    const int q = side(problem.x, problem.x_scale, problem.x_by_norm[static_cast<size_t>(rank)]);
    queues[static_cast<size_t>(q)].ranks.push_back(static_cast<uint32_t>(rank));
  }

  for (int64_t turn = 0; turn < problem.n_y(); ++turn) {
    if (turn % kTick == 0) {
      team.check();
      team.settle(turn);
    }
    const int y_side =
        side(problem.y, problem.y_scale, problem.y_by_norm[static_cast<size_t>(turn)]);
    const int q = choose(queues, y_side);
    const double cosine = static_cast<double>((y_side - 1) * (q - 1));
    if (q < 0 || cosine < problem.min_cosine) {
      out.take_none(turn, turn + 1);
      continue;
    }
    Queue& queue = queues[static_cast<size_t>(q)];
    out.take(turn, problem.x_by_norm[queue.ranks[queue.head++]], cosine);
  }
  team.settle(problem.n_y());
  report.add("x_negative", static_cast<double>(queues[0].ranks.size()));
  report.add("x_zero", static_cast<double>(queues[1].ranks.size()));
  report.add("x_positive", static_cast<double>(queues[2].ranks.size()));
}

}  // namespace gtn
