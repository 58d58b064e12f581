// The best candidates of one y, gathered while its panels are screened.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "strategies/classes.h"

namespace gtn {

// An exactly evaluated candidate.
struct Candidate {
  double cosine;
  uint32_t item;
};

// A list is complete down to its level: every item that was free when the list was
// made and whose (cosine, head rank) is at least as good as the level is in it.
struct Level {
  double cosine = -std::numeric_limits<double>::infinity();
  uint32_t rank = kNoRank;

  bool admits(double c, uint32_t r) const { return c > cosine || (c == cosine && r <= rank); }
};

inline bool better(double cosine_a, uint32_t rank_a, double cosine_b, uint32_t rank_b) {
  return cosine_a > cosine_b || (cosine_a == cosine_b && rank_a < rank_b);
}

// Exact values on demand: cosine(item) and head(item).
class Exact {
 public:
  virtual ~Exact() = default;
  virtual double cosine(uint32_t item) = 0;
  virtual void prefetch(uint32_t item) = 0;
  virtual uint32_t head(uint32_t item) const = 0;
};

// Collects items by certified bounds lower <= cosine <= upper, keeps few, and
// knows from which upper bound on an item still matters.
class Shortlist {
 public:
  // Keeps at least the `wanted` best (if that many reach `floor`).
  void reset(int wanted, double floor);

  // Items with upper < threshold() cannot belong to the list.
  double threshold() const { return level_.cosine; }
  bool full() const { return entries_.size() >= capacity_; }
  void add(double upper, double lower, uint32_t item) { entries_.push_back({upper, lower, item}); }
  // Adds an exact value; of use where all of a cluster is evaluated.
  void add_exact(double cosine, uint32_t item, uint32_t head) {
    if (level_.admits(cosine, head)) entries_.push_back({cosine, cosine, item});
  }

  // Makes room: raises the threshold and drops what it rules out. Evaluates
  // exactly only if the bounds cannot tell enough of the entries apart.
  void shrink(Exact& exact);

  // Evaluates what is left and writes the best `most`, best first, to out.
  // Returns how many; *level says down to where the list is complete.
  int finish(Exact& exact, int most, Candidate* out, Level* level);

 private:
  struct Entry {
    double upper, lower;
    uint32_t item;
  };
  void drop_below();
  void evaluate(Exact& exact);
  void keep_best(Exact& exact, size_t n);

  std::vector<Entry> entries_;
  std::vector<double> lowers_;
  size_t wanted_ = 0, capacity_ = 0;
  Level level_;
};

}  // namespace gtn
