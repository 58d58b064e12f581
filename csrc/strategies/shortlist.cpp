#include "strategies/shortlist.h"

#include <algorithm>
#include <functional>

namespace gtn {

void Shortlist::reset(int wanted, double floor) {
  entries_.clear();
  wanted_ = static_cast<size_t>(wanted);
  capacity_ = 4 * wanted_ + 16;
  level_ = Level{floor, kNoRank};
}

void Shortlist::drop_below() {
  const double bar = level_.cosine;
  std::erase_if(entries_, [bar](const Entry& e) { return e.upper < bar; });
}

void Shortlist::evaluate(Exact& exact) {
  for (const Entry& e : entries_)
    if (e.upper != e.lower) exact.prefetch(e.item);
  for (Entry& e : entries_)
    if (e.upper != e.lower) e.upper = e.lower = exact.cosine(e.item);
}

// Entries are exact: keeps the n best in the total order and raises the level.
void Shortlist::keep_best(Exact& exact, size_t n) {
  std::erase_if(entries_, [&](const Entry& e) {
    return !level_.admits(e.upper, exact.head(e.item));
  });
  if (entries_.size() < n) return;
  const auto order = [&](const Entry& a, const Entry& b) {
    return better(a.upper, exact.head(a.item), b.upper, exact.head(b.item));
  };
  std::nth_element(entries_.begin(), entries_.begin() + static_cast<int64_t>(n) - 1,
                   entries_.end(), order);
  entries_.resize(n);
  level_ = Level{entries_.back().upper, exact.head(entries_.back().item)};
}

void Shortlist::shrink(Exact& exact) {
  if (entries_.size() >= wanted_) {
    lowers_.clear();
    for (const Entry& e : entries_) lowers_.push_back(e.lower);
    const auto kth = lowers_.begin() + static_cast<int64_t>(wanted_) - 1;
    std::nth_element(lowers_.begin(), kth, lowers_.end(), std::greater<>());
    if (*kth > level_.cosine) level_ = Level{*kth, kNoRank};
    drop_below();
  }
  if (2 * entries_.size() > capacity_) {
    evaluate(exact);
    keep_best(exact, wanted_);
  }
}

int Shortlist::finish(Exact& exact, int most, Candidate* out, Level* level) {
  if (entries_.size() > wanted_) shrink(exact);
  evaluate(exact);
  keep_best(exact, static_cast<size_t>(most));
  std::sort(entries_.begin(), entries_.end(), [&](const Entry& a, const Entry& b) {
    return better(a.upper, exact.head(a.item), b.upper, exact.head(b.item));
  });
  for (size_t i = 0; i < entries_.size(); ++i) out[i] = {entries_[i].upper, entries_[i].item};
  *level = level_;
  return static_cast<int>(entries_.size());
}

}  // namespace gtn
