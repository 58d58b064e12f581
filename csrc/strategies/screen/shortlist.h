// The best candidates of one y, gathered while frames are screened.
#pragma once

#include <cstdint>
#include <vector>

#include "gtn_fast/lists.h"

namespace gtn {

// An item and its cosine: exact, or an upper bound if the list has not evaluated it yet.
struct Candidate {
  double cosine;
  uint32_t item;
};

// Exact values on demand.
class Exact {
 public:
  virtual ~Exact() = default;
  virtual double cosine(uint32_t item) = 0;
  virtual void prefetch(uint32_t item) = 0;
  virtual uint32_t head(uint32_t item) const = 0;
};

// A finished list: `exact` candidates, best first, complete down to `level`, then
// the others up to `total` with upper bounds; all of them together are complete
// down to `deep_level`.
struct ListState {
  int32_t exact = 0;
  int32_t total = 0;
  ListLevel level;
  ListLevel deep_level;
};

// Evaluates the rest of a list and sorts it.
void deepen(Exact& exact, Candidate* list, ListState& state);

// Collects items by certified bounds lower <= cosine <= upper, keeps few of them, and knows
// which upper bound an item needs to matter.
class Shortlist {
 public:
  // Keeps about the `wanted` best (if that many reach `floor`).
  void reset(int wanted, double floor);

  // Items with upper < threshold() cannot belong to the list.
  double threshold() const { return level_.cosine; }
  const ListLevel& level() const { return level_; }
  bool full() const { return entries_.size() >= full_; }
  void add(double upper, double lower, uint32_t item) {
    entries_.push_back({upper, lower, item, kNoRank});
  }
  // Adds an exact value, if the level admits it.
  void add_exact(double cosine, uint32_t item, uint32_t head) {
    if (level_.admits(cosine, head)) entries_.push_back({cosine, cosine, item, head});
  }

  // Makes room: raises the threshold and drops what it rules out. Evaluates
  // exactly only if the bounds cannot tell enough of the entries apart. `seen` is
  // the share of a fair sequence of items that was offered so far: after a quarter
  // the best quarter of the wanted ones will do, since as good ones will follow.
  // The list may end up shorter than wanted, never empty, and is complete all the same.
  void shrink(Exact& exact, double seen);

  // Writes at most `most` candidates to out, at least `least` of them evaluated
  // and in certain order if there are that many; where more of them tie than there
  // is room for, at least one.
  ListState finish(Exact& exact, int least, int most, Candidate* out);

 private:
  struct Entry {
    double upper, lower;
    uint32_t item;
    uint32_t head;  // kNoRank until the entry is evaluated: then upper == lower
    bool exact() const { return head != kNoRank; }
  };
  ListState write(Exact& exact, int least, int most, Candidate* out);
  ListState finish_exact(int most, Candidate* out);
  bool all_exact() const;
  void raise_threshold(size_t rank);
  void evaluate(Exact& exact);
  void keep_best(size_t n);

  std::vector<Entry> entries_;
  std::vector<double> lowers_;
  size_t wanted_ = 0, full_ = 0;
  ListLevel level_;
};

}  // namespace gtn
