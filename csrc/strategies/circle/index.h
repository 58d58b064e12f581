// d = 2: the distinct directions of X in order of angle.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "gtn_fast/match.h"

namespace gtn {

// One distinct direction and the free x of smallest rank that has it.
struct CircleEntry {
  double c, s;
  uint32_t head;
};

struct CircleIndex {
  int64_t count = 0;                       // distinct non-zero directions
  std::unique_ptr<CircleEntry[]> entries;  // by angle key
  std::vector<uint32_t> next;              // by rank, like DirectionClasses::next; may be empty
  std::vector<uint32_t> zero_ranks;        // the zero rows, ascending
  // By rank of y: its direction, and the position of the first entry whose angle
  // key is not smaller (count for a zero y).
  std::unique_ptr<double[]> y_direction;
  std::unique_ptr<uint32_t[]> y_position;
};

// A key that grows with the angle, in [0, 2^63): the angle is off by at most
// kAngleError from one that would give the keys' exact order.
uint64_t angle_key(double c, double s);
constexpr double kAngleError = 0x1p-48;

CircleIndex build_circle_index(const Problem& problem, Team& team);

}  // namespace gtn
