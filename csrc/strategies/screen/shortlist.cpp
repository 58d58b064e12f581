#include "strategies/screen/shortlist.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

namespace gtn {
namespace {

constexpr size_t kMoreEntries = 1;    // at least so many are added before the next shrink()
constexpr size_t kMostEntries = 320;  // if bounds leave more, the entries are evaluated

// Complete for all cosines greater than this one.
ListLevel above(double cosine) {
  return {std::nextafter(cosine, std::numeric_limits<double>::infinity()), kNoRank};
}

void sort_exact(Exact& exact, Candidate* begin, Candidate* end) {
  std::sort(begin, end, [&](const Candidate& a, const Candidate& b) {
    return better(a.cosine, exact.head(a.item), b.cosine, exact.head(b.item));
  });
}

// All values are exact: sorts them and drops what lies below the level, where
// others may be missing.
void settle(Exact& exact, Candidate* list, ListState& state) {
  sort_exact(exact, list, list + state.total);
  state.level = state.deep_level;
  state.exact = 0;
  while (state.exact < state.total &&
         state.level.admits(list[state.exact].cosine, exact.head(list[state.exact].item)))
    ++state.exact;
  state.total = state.exact;
}

}  // namespace

void deepen(Exact& exact, Candidate* list, ListState& state) {
  for (int32_t i = state.exact; i < state.total; ++i) exact.prefetch(list[i].item);
  for (int32_t i = state.exact; i < state.total; ++i) list[i].cosine = exact.cosine(list[i].item);
  settle(exact, list, state);
}

void Shortlist::reset(int wanted, double floor) {
  entries_.clear();
  wanted_ = static_cast<size_t>(wanted);
  full_ = kMoreEntries;
  level_ = ListLevel{floor, kNoRank};
}

// The rank-th best lower bound: that many items are at least as good.
void Shortlist::raise_threshold(size_t rank) {
  if (entries_.size() < rank) return;
  lowers_.clear();
  for (const Entry& e : entries_) lowers_.push_back(e.lower);
  const auto kth = lowers_.begin() + static_cast<int64_t>(rank) - 1;
  std::nth_element(lowers_.begin(), kth, lowers_.end(), std::greater<>());
  if (*kth > level_.cosine) level_ = ListLevel{*kth, kNoRank};
  const double bar = level_.cosine;
  std::erase_if(entries_, [bar](const Entry& e) { return e.upper < bar; });
}

bool Shortlist::all_exact() const {
  return std::all_of(entries_.begin(), entries_.end(), [](const Entry& e) { return e.exact(); });
}

void Shortlist::evaluate(Exact& exact) {
  for (const Entry& e : entries_)
    if (!e.exact()) exact.prefetch(e.item);
  for (Entry& e : entries_) {
    if (e.exact()) continue;
    e.upper = e.lower = exact.cosine(e.item);
    e.head = exact.head(e.item);
  }
}

// Entries are exact: keeps the n best in the total order and raises the level.
void Shortlist::keep_best(size_t n) {
  std::erase_if(entries_, [&](const Entry& e) { return !level_.admits(e.upper, e.head); });
  if (entries_.size() < n) return;
  const auto order = [](const Entry& a, const Entry& b) {
    return better(a.upper, a.head, b.upper, b.head);
  };
  std::nth_element(entries_.begin(), entries_.begin() + static_cast<int64_t>(n) - 1, entries_.end(),
                   order);
  entries_.resize(n);
  level_ = ListLevel{entries_.back().upper, entries_.back().head};
}

void Shortlist::shrink(Exact& exact, double seen) {
  if (all_exact()) {
    keep_best(wanted_);
    full_ = 2 * entries_.size() + kMoreEntries;
    return;
  }
  const double rank = std::ceil(seen * static_cast<double>(wanted_));
  raise_threshold(std::max<size_t>(1, static_cast<size_t>(rank)));
  if (entries_.size() > std::max(kMostEntries, 2 * wanted_)) {
    evaluate(exact);
    keep_best(wanted_);
  }
  full_ = entries_.size() + entries_.size() / 4 + kMoreEntries;
}

ListState Shortlist::finish(Exact& exact, int least, int most, Candidate* out) {
  if (all_exact()) return finish_exact(most, out);
  raise_threshold(wanted_);
  std::sort(entries_.begin(), entries_.end(),
            [](const Entry& a, const Entry& b) { return a.upper > b.upper; });
  ListState state = write(exact, least, most, out);
  if (state.exact == 0 && !entries_.empty()) {
    // More ties, or bounds as good as ties, than there is room for.
    evaluate(exact);
    keep_best(static_cast<size_t>(most));
    state = write(exact, most, most, out);
  }
  return state;
}

// Nothing is left to evaluate, and heads are known: sorts once and keeps what fits.
ListState Shortlist::finish_exact(int most, Candidate* out) {
  keep_best(static_cast<size_t>(most));
  std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
    return better(a.upper, a.head, b.upper, b.head);
  });
  ListState state;
  state.exact = state.total = static_cast<int32_t>(entries_.size());
  state.level = state.deep_level = level_;
  for (size_t i = 0; i < entries_.size(); ++i) out[i] = {entries_[i].upper, entries_[i].item};
  return state;
}

// Entries by upper bound, best first, as many as there is room for; evaluates from
// the top until `least` of them beat every bound that is left.
ListState Shortlist::write(Exact& exact, int least, int most, Candidate* out) {
  const size_t kept = std::min(entries_.size(), static_cast<size_t>(most));
  ListState state;
  state.deep_level = level_;
  if (kept < entries_.size() && entries_[kept].upper >= level_.cosine)
    state.deep_level = above(entries_[kept].upper);
  for (size_t i = 0; i < kept; ++i) out[i] = {entries_[i].upper, entries_[i].item};
  state.total = static_cast<int32_t>(kept);
  size_t done = 0;
  while (done < kept) {
    const size_t next = std::min(kept, done + static_cast<size_t>(least));
    for (size_t i = done; i < next; ++i) exact.prefetch(out[i].item);
    for (size_t i = done; i < next; ++i) out[i].cosine = exact.cosine(out[i].item);
    done = next;
    if (done == kept) break;
    int certain = 0;
    for (size_t i = 0; i < done; ++i) certain += out[i].cosine > out[done].cosine;
    if (certain < least) continue;
    // What is evaluated but not certain yet waits with the others.
    sort_exact(exact, out, out + done);
    state.exact = certain;
    state.level = above(out[done].cosine);
    return state;
  }
  settle(exact, out, state);
  return state;
}

}  // namespace gtn
