#include "engine/radix.h"

#include <algorithm>
#include <array>
#include <bit>

#include "gtn_fast/parallel.h"

namespace gtn {
namespace {

constexpr int kDigitBits = 11;
constexpr int kDigits = 1 << kDigitBits;
constexpr int64_t kSmall = 1 << 12;  // below: a comparison sort is as fast
constexpr int64_t kCheckEvery = 1 << 20;

using Counts = std::array<int64_t, kDigits>;

int digit(uint64_t item, int shift) { return static_cast<int>((item >> shift) & (kDigits - 1)); }

// Turns counts[thread][digit] into the first target of each; false if one digit
// holds everything.
bool make_offsets(std::vector<Counts>& counts, int64_t n) {
  int64_t sum = 0;
  for (int v = 0; v < kDigits; ++v) {
    const int64_t before = sum;
    for (Counts& c : counts) {
      const int64_t count = c[static_cast<size_t>(v)];
      c[static_cast<size_t>(v)] = sum;
      sum += count;
    }
    if (sum - before == n) return false;
  }
  return true;
}

// One stable pass on the digit at `shift`; false if it would change nothing.
bool pass(const uint64_t* from, uint64_t* to, int64_t n, int shift, std::vector<Counts>& counts,
          Team& team) {
  const int64_t threads = static_cast<int64_t>(counts.size());
  const auto part = [&](int64_t t) { return n / threads * t + std::min(t, n % threads); };
  team.run([&](int t) {
    Counts& c = counts[static_cast<size_t>(t)];
    c.fill(0);
    for (int64_t i = part(t); i < part(t + 1); ++i) {
      if (i % kCheckEvery == 0) team.check();
      ++c[static_cast<size_t>(digit(from[i], shift))];
    }
  });
  if (!make_offsets(counts, n)) return false;
  team.run([&](int t) {
    Counts& c = counts[static_cast<size_t>(t)];
    for (int64_t i = part(t); i < part(t + 1); ++i) {
      if (i % kCheckEvery == 0) team.check();
      to[c[static_cast<size_t>(digit(from[i], shift))]++] = from[i];
    }
  });
  return true;
}

}  // namespace

uint64_t* radix_sort_high32(uint64_t* items, uint64_t* other, int64_t n, Team& team) {
  if (n < kSmall) {
    std::stable_sort(items, items + n,
                     [](uint64_t a, uint64_t b) { return (a >> 32) < (b >> 32); });
    return items;
  }
  std::vector<Counts> counts(static_cast<size_t>(team.size()));
  // The last digit is the ten bits that are left.
  for (int shift = 32; shift < 64; shift += kDigitBits)
    if (pass(items, other, n, shift, counts, team)) std::swap(items, other);
  return items;
}

std::vector<uint32_t> stable_order(const uint64_t* keys, int64_t n, Team& team) {
  constexpr int64_t kGrain = 1 << 14;
  const int64_t n_chunks = (n + kGrain - 1) / kGrain;
  std::vector<uint64_t> low(static_cast<size_t>(n_chunks)), high(static_cast<size_t>(n_chunks));
  team.for_chunks(n, kGrain, [&](int64_t begin, int64_t end, int) {
    const auto [least, most] = std::minmax_element(keys + begin, keys + end);
    low[static_cast<size_t>(begin / kGrain)] = *least;
    high[static_cast<size_t>(begin / kGrain)] = *most;
  });
  std::vector<uint32_t> order(static_cast<size_t>(n));
  if (n == 0) return order;
  const uint64_t least = *std::min_element(low.begin(), low.end());
  const uint64_t most = *std::max_element(high.begin(), high.end());

  // The 32 bits that differ most decide nearly everything; what they leave
  // equal is finished by comparison.
  const int shift = std::max(0, static_cast<int>(std::bit_width(most - least)) - 32);
  const std::unique_ptr<uint64_t[]> first = uninitialized<uint64_t>(n);
  const std::unique_ptr<uint64_t[]> second = uninitialized<uint64_t>(n);
  team.for_chunks(n, kGrain, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i)
      first[i] = (((keys[i] - least) >> shift) << 32) | static_cast<uint64_t>(i);
  });
  const uint64_t* items = radix_sort_high32(first.get(), second.get(), n, team);
  team.for_chunks(n, kGrain, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i)
      order[static_cast<size_t>(i)] = static_cast<uint32_t>(items[i]);
  });
  if (shift == 0) return order;

  // A run belongs to the chunk that it begins in.
  const auto prefix = [&](int64_t i) { return items[i] >> 32; };
  team.for_chunks(n, kGrain, [&](int64_t begin, int64_t end, int) {
    int64_t i = begin;
    while (i > 0 && i < end && prefix(i) == prefix(i - 1)) ++i;
    while (i < end) {
      int64_t stop = i + 1;
      while (stop < n && prefix(stop) == prefix(i)) ++stop;
      const auto by_key = [&](uint32_t a, uint32_t b) { return keys[a] < keys[b]; };
      if (stop - i > 1 && !std::is_sorted(order.begin() + i, order.begin() + stop, by_key))
        std::stable_sort(order.begin() + i, order.begin() + stop, by_key);
      i = stop;
    }
  });
  return order;
}

}  // namespace gtn
