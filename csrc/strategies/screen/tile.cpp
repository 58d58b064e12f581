#include "strategies/screen/tile.h"

#include <algorithm>
#include <cmath>

namespace gtn {

YTile::YTile(const SearchInputs& in, int64_t& rescored) : in_(in), rescored_(rescored) {}

void YTile::load(const Askers& askers, const uint32_t* y_rank, size_t n, bool all_bases) {
  n_ = n;
  all_bases_ = all_bases;
  columns_seen_ = 0;
  seen_ = 1.0;
  point_.resize(n * width());
  point_f32_.resize(n * width());
  rotated_.resize(n * dims());
  scratch_.resize(dims());
  query_.resize(n);
  code_.assign(n * lines(), CacheLine{});
  if (shortlist_.size() < n) shortlist_.resize(n);
  for (size_t y = 0; y < n; ++y) {
    const uint32_t row = askers.row_of[y_rank[y]];
    double* const point = point_.data() + y * width();
    double* const vector = rotated_.data() + y * dims();
    askers.point(row, point);
    if (!in_.problem.by_distance()) std::copy_n(point, width(), point_f32_.data() + y * width());
    std::copy_n(point, width(), vector);
    const ScreenVectors::Query of_y = in_.store.vectors().of_y(vector);
    in_.store.rotation().apply(vector, scratch_.data());
    quantise(y, of_y);
  }
  if (all_bases)
    compute_bases();
  else
    base_.resize(n_);
}

void YTile::quantise(size_t y, const ScreenVectors::Query& of_y) {
  const ScreenStore& store = in_.store;
  const double* const v = rotated(y);
  double largest = 0.0;
  for (size_t k = 0; k < dims(); ++k) largest = std::max(largest, std::fabs(v[k]));
  Query& q = query_[y];
  q.scale = largest > 0.0 ? largest / store.y_limit() : 1.0;
  int8_t* const code = code_[y * lines()].bytes;
  double square = 0.0;
  const double rest =
      in_.kernels.quantise(v, store.dims(), q.scale, store.y_limit(), code, &square);
  q.code_norm = std::sqrt(square);
  q.shift = of_y.shift;
  q.length = of_y.length;
  q.slack = store.slack() * of_y.roundings;
  q.rest = std::sqrt(rest) + store.slack() * q.length;
  int32_t sum = 0;
  for (size_t k = 0; k < dims(); ++k) sum += code[k];
  q.offset = sum * store.x_limit();
}

void YTile::compute_bases() {
  const ScreenStore& store = in_.store;
  const size_t frames = store.frames().size();
  base_.resize(frames * n_);
  for (size_t f = 0; f < frames; ++f) {
    double* const out = base_.data() + f * n_;
    if (f > 0 && store.center(f) == store.center(f - 1)) {
      std::copy_n(out - n_, n_, out);
      continue;
    }
    for (size_t y = 0; y < n_; ++y) out[y] = base(f, y);
  }
}

void YTile::see_columns(int64_t columns) {
  columns_seen_ += columns;
  if (in_.store.fair())
    seen_ = static_cast<double>(columns_seen_) / static_cast<double>(in_.store.columns());
}

const int8_t* YTile::gather_codes(const std::vector<uint32_t>& ys) {
  if (ys.size() == n_) return codes(0);
  gathered_.resize(ys.size() * lines());
  for (size_t a = 0; a < ys.size(); ++a)
    std::copy_n(&code_[ys[a] * lines()], lines(), &gathered_[a * lines()]);
  return gathered_[0].bytes;
}

}  // namespace gtn
