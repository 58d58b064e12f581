// The front door: what match() refuses before it reads a number.
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/test_util.h"

namespace gtn::test {
namespace {

// Why match() refuses, or "" if it does not.
std::string refusal(const MatrixView& x, const MatrixView& y, const Rows& x_rows = {},
                    const Rows& y_rows = {}, const Options& options = {}) {
  Control control;
  Assignment out;
  Report report;
  try {
    match(x, y, x_rows, y_rows, options, control, out, report);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

// Of so many rows, of which there is only one: never to be read.
MatrixView imagined(int64_t rows, int64_t cols) {
  static const std::vector<float> row(8, 1.0F);
  MatrixView view;
  view.rows = rows;
  view.cols = cols;
  view.all.data = row.data();
  view.all.row_stride = cols;
  return view;
}

}  // namespace

TEST_CASE("match: as many rows as ranks can count, with room to round up, and not one more") {
  // Columns are packed in frames, each with up to 15 unused ones: 2^24 are left for these.
  const int64_t limit = (int64_t{1} << 32) - (int64_t{1} << 24);
  const MatrixView small = imagined(1, 3);
  const std::string differ = "X and Y differ in columns";  // the next thing to be checked
  CHECK(refusal(imagined(limit - 1, 2), small) == differ);
  CHECK(refusal(imagined(limit, 2), small) == "X: too many rows");
  CHECK(refusal(imagined(int64_t{1} << 40, 2), small) == "X: too many rows");
  CHECK(refusal(small, imagined(limit - 1, 2)) == differ);
  CHECK(refusal(small, imagined(limit, 2)) == "Y: too many rows");
}

TEST_CASE("match: wrong arguments are refused by name") {
  const MatrixView x = imagined(1, 3);
  CHECK(refusal(x, x) == "");
  CHECK(refusal(imagined(0, 3), x) == "X is empty");
  CHECK(refusal(x, imagined(1, 0)) == "Y is empty");
  CHECK(refusal(x, MatrixView{DType::kFloat32, 1, 3, {}, {}, false, 0}) == "Y is empty");
  MatrixView narrow = x;
  narrow.all.row_stride = 2;
  CHECK(refusal(narrow, x) == "X: bad row stride");
  CHECK(refusal(x, imagined(2, 3)) == "Y has more rows than X");
  const uint32_t first[] = {0, 0}, second[] = {1};
  CHECK(refusal(x, x, {second, 1}) == "rows of X must ascend, in range");
  CHECK(refusal(x, x, {}, {first, 2}) == "rows of Y must ascend, in range");
  CHECK(refusal(x, x, {first, 0}) == "no row of X takes part");
  MatrixView parts = x;
  parts.parts = {{1, x.all.data, 3}};
  CHECK(refusal(parts, x) == "X: parts must begin with row 0");
  parts.parts = {{0, x.all.data, 3}, {1, x.all.data, 3}};
  CHECK(refusal(parts, x) == "X: parts must ascend");
  MatrixView drawn = x;
  drawn.drawn = true;
  drawn.dtype = DType::kFloat64;
  CHECK(refusal(x, drawn) == "Y cannot be drawn");
  Options options;
  options.threads = 0;
  CHECK(refusal(x, x, {}, {}, options) == "threads out of range");
  options.threads = 4097;
  CHECK(refusal(x, x, {}, {}, options) == "threads out of range");
  options.threads = 1;
  options.block = -1;
  CHECK(refusal(x, x, {}, {}, options) == "block and list_length must not be negative");
  options.block = 0;
  options.strategy = Strategy::kRay;
  CHECK(refusal(x, x, {}, {}, options) == "ray needs d = 1");
  options.strategy = Strategy::kCircle;
  CHECK(refusal(x, x, {}, {}, options) == "circle needs d = 2");
  options = {};
  options.min_cosine = std::nan("");
  CHECK(refusal(x, x, {}, {}, options) == "min_cosine is NaN");
}

}  // namespace gtn::test
