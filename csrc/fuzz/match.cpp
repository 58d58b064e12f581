// Bytes to a tiny labeling, every strategy against the definition: a fuzzer's target.
//
// What the bytes choose: sizes, types, layouts, which rows take part, blocks, lists, threads,
// instruction sets, and the numbers themselves, down to their bits. A difference aborts.
#define DOCTEST_CONFIG_DISABLE
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "fuzz/target.h"
#include "kernels/levels.h"
#include "tests/test_util.h"

namespace gtn::test {
namespace {

class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size) : data_(data), left_(size) {}

  uint64_t bits(size_t bytes) {
    uint64_t value = 0;
    for (; bytes > 0 && left_ > 0; --bytes, --left_) value = value << 8 | *data_++;
    return value;
  }
  int64_t up_to(int64_t most) {  // 0 .. most, most < 65536
    return static_cast<int64_t>(bits(most < 256 ? 1 : 2) % static_cast<uint64_t>(most + 1));
  }
  bool coin() { return (bits(1) & 1) != 0; }

 private:
  const uint8_t* data_;
  size_t left_;
};

enum class Numbers : uint8_t { kSmall, kSixteenths, kPowers, kFloatBits, kDoubleBits, kCount };

double number(Bytes& bytes, Numbers kind) {
  switch (kind) {
    case Numbers::kSmall:
      return static_cast<double>(bytes.up_to(6)) - 3.0;
    case Numbers::kSixteenths:
      return (static_cast<double>(bytes.up_to(255)) - 128.0) / 16.0;
    case Numbers::kPowers: {
      const auto exponent = static_cast<int>(bytes.up_to(240)) - 120;
      return std::ldexp(bytes.coin() ? 1.0 : -1.0, exponent);
    }
    case Numbers::kFloatBits: {
      const auto word = static_cast<uint32_t>(bytes.bits(4));
      float value = 0;
      std::memcpy(&value, &word, sizeof value);
      return value;
    }
    default: {
      const uint64_t word = bytes.bits(8);
      double value = 0;
      std::memcpy(&value, &word, sizeof value);
      return value;
    }
  }
}

// Rows repeat, in full or times a number, where the bytes say so: ties are what goes wrong.
Matrix matrix(Bytes& bytes, int64_t n, int64_t d, double largest) {
  const bool as_float = bytes.coin();
  const auto kind = static_cast<Numbers>(bytes.up_to(static_cast<int64_t>(Numbers::kCount) - 1));
  Matrix made(n, d, as_float);
  for (int64_t r = 0; r < n; ++r) {
    const int64_t how = bytes.up_to(7);
    const int64_t other = r > 0 ? bytes.up_to(r - 1) : 0;
    for (int64_t c = 0; c < d; ++c) {
      double value = 0.0;
      if (r > 0 && how < 3)
        value = made(other, c) * (how == 0 ? 1.0 : how == 1 ? 2.0 : -1.0);
      else
        value = number(bytes, kind);
      // In range, in the type in which it is kept: what is not, is refused above the engine.
      if (as_float) value = static_cast<float>(value);
      made(r, c) = std::fabs(value) <= largest ? value : 1.0;
    }
  }
  return made;
}

std::vector<uint32_t> some_rows(Bytes& bytes, int64_t n, int64_t fewest) {
  std::vector<uint32_t> rows;
  for (int64_t r = 0; r < n; ++r)
    if (n - r <= fewest - static_cast<int64_t>(rows.size()) || bytes.coin())
      rows.push_back(static_cast<uint32_t>(r));
  return rows;
}

Matrix chosen(Matrix& from, const std::vector<uint32_t>& rows) {
  Matrix made(static_cast<int64_t>(rows.size()), from.cols, from.is_float);
  for (size_t i = 0; i < rows.size(); ++i)
    for (int64_t c = 0; c < from.cols; ++c) made(static_cast<int64_t>(i), c) = from(rows[i], c);
  return made;
}

// Rows spread over pieces of memory, as several files are.
void cut(Bytes& bytes, MatrixView& view) {
  if (view.rows < 2 || !bytes.coin()) return;
  const int64_t at = 1 + bytes.up_to(view.rows - 2);
  view.parts = {{0, view.row(0), view.all.row_stride}, {at, view.row(at), view.all.row_stride}};
  view.all = {};
}

[[noreturn]] void report(const std::string& what, int64_t turn) {
  std::fprintf(stderr, "%s: turn %lld differs from the definition\n", what.c_str(),
               static_cast<long long>(turn));
  std::abort();
}

}  // namespace

void fuzz_match(const uint8_t* data, size_t size) {
  Bytes bytes(data, size);
  static const int64_t kWidths[] = {1, 2, 3, 4, 5, 8, 9, 16, 17, 33};
  const int64_t n_x = 1 + bytes.up_to(bytes.coin() ? 11 : 79);
  const int64_t n_y = 1 + bytes.up_to(n_x - 1);
  const int64_t d = kWidths[bytes.up_to(9)];
  Options options;
  options.threads = 1 + static_cast<int>(bytes.up_to(2));
  options.block = bytes.up_to(9);
  options.list_length = bytes.up_to(5);
  options.out_of_core = bytes.up_to(7) == 0;
  if (bytes.up_to(3) == 0) options.cones = UseCones::kAlways;
  const auto levels = simd_usable();
  const char* level =
      levels[static_cast<size_t>(bytes.up_to(static_cast<int64_t>(levels.size()) - 1))]->name;
  simd_force(level);
  if (bytes.up_to(2) == 0) options.metric = Metric::kEuclidean;
  const bool by_distance = options.metric == Metric::kEuclidean;
  const double largest = by_distance ? kLargestValue : std::numeric_limits<double>::max();
  Matrix x = matrix(bytes, n_x, d, largest), y = matrix(bytes, n_y, d, largest);

  // Some rows alone: those of X at least as many as those of Y.
  std::vector<uint32_t> x_rows, y_rows;
  const bool subset = bytes.up_to(3) == 0;
  if (subset) {
    y_rows = some_rows(bytes, n_y, 1);
    x_rows = some_rows(bytes, n_x, static_cast<int64_t>(y_rows.size()));
  }
  Team alone(1);
  Matrix x_part = subset ? chosen(x, x_rows) : x, y_part = subset ? chosen(y, y_rows) : y;
  Problem problem = make_problem(x_part, y_part, alone);
  problem.metric = options.metric;
  const Assignment want = brute_force(problem);

  MatrixView x_view = x.view(), y_view = y.view();
  cut(bytes, x_view);
  cut(bytes, y_view);
  std::vector<Strategy> strategies = {Strategy::kScreen};
  if (d <= 16 && (d >= 2 || by_distance)) strategies.push_back(Strategy::kTree);
  if (d == 1 && !by_distance) strategies.push_back(Strategy::kRay);
  if (d == 2 && !by_distance) strategies.push_back(Strategy::kCircle);
  for (const Strategy strategy : strategies) {
    options.strategy = strategy;
    Control control;
    Assignment got;
    Report unused;
    match(x_view, y_view, {subset ? x_rows.data() : nullptr, static_cast<int64_t>(x_rows.size())},
          {subset ? y_rows.data() : nullptr, static_cast<int64_t>(y_rows.size())}, options, control,
          got, unused);
    const std::string what = std::string("strategy ") + std::to_string(static_cast<int>(strategy)) +
                             ", " + level + ", " + std::to_string(n_x) + " x " + std::to_string(d);
    if (got.x_row.size() != want.x_row.size() || got.cosine.size() != want.cosine.size())
      report(what + ", sizes", 0);
    for (size_t i = 0; i < want.x_row.size(); ++i) {
      const uint32_t row = subset ? x_rows[want.x_row[i]] : want.x_row[i];
      if (got.x_row[i] != row || got.cosine[i] != want.cosine[i])
        report(what, static_cast<int64_t>(i));
    }
  }
}

}  // namespace gtn::test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  gtn::test::fuzz_match(data, size);
  return 0;
}
