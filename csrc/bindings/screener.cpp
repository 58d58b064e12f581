// A shard of X under screening (gtn_fast/screener.h), and what several processes need to agree
// on an order: norms of a shard, the order of all, rows of the sample from anywhere.
#include "gtn_fast/screener.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bindings/bindings.h"
#include "bindings/watch.h"
#include "engine/radix.h"
#include "gtn_fast/normal.h"

namespace gtn::bindings {
namespace {

using Int64s = py::array_t<int64_t, py::array::c_style>;
using Uint32s = py::array_t<uint32_t, py::array::c_style>;
using Doubles = py::array_t<double, py::array::c_style>;

// Holds its X; every call can be interrupted, after which it is of no more use.
class BoundScreener {
 public:
  BoundScreener(const py::array& x, const Uint32s& rank, int64_t first_row, int threads,
                const std::optional<Uint32s>& rows)
      : x_(x), threads_(threads) {
    const MatrixView view = matrix_view(x, "x");
    check_threads(threads);
    if (rank.ndim() != 1 || rank.shape(0) != view.rows)
      throw py::value_error("rank: expected one per row of x");
    if (first_row < 0 || first_row + view.rows > int64_t{ShardLists::kNone})
      throw py::value_error("first_row: out of range");
    Rows part;
    if (rows) {
      if (rows->ndim() != 1) throw py::value_error("rows: expected 1 dimension");
      part = {rows->data(), rows->shape(0)};
      for (int64_t i = 0; i < part.n; ++i)
        if (part.rows[i] >= view.rows || (i > 0 && part.rows[i] <= part.rows[i - 1]))
          throw py::value_error("rows: must ascend, in range");
    }
    if ((part.all() ? view.rows : part.n) < 1) throw py::value_error("no row takes part");
    const uint32_t* const ranks = rank.data();
    run_watched(
        threads, control_,
        [&] {
          screener_ = std::make_unique<Screener>(view, part, ranks, first_row, threads, &control_);
        },
        [] {});
  }

  py::tuple search(const py::array& y, int wanted, int64_t places, bool again) {
    const MatrixView view = matrix_view(y, "y");
    if (view.rows < 1) throw py::value_error("y: expected at least one row");
    if (view.cols != x_.shape(1)) throw py::value_error("y: columns differ from those of x");
    if (wanted < 1 || wanted > 4096 || places < 1 || places > 65536)
      throw py::value_error("wanted, places: out of range");
    Uint32s row({view.rows, places});
    Doubles cosine({view.rows, places}), level(view.rows), deep(view.rows);
    Uint32s level_rank(view.rows);
    const ShardLists out{places,
                         row.mutable_data(),
                         cosine.mutable_data(),
                         level.mutable_data(),
                         level_rank.mutable_data(),
                         deep.mutable_data()};
    run_watched(threads_, control_, [&] { screener_->search(view, wanted, again, out); }, [] {});
    return py::make_tuple(row, cosine, level, level_rank, deep);
  }

  void learn(const Doubles& level) {
    if (level.ndim() != 1) throw py::value_error("level: expected 1 dimension");
    screener_->learn(level.data(), level.shape(0));
  }

  void take(const Uint32s& rows) {
    if (rows.ndim() != 1) throw py::value_error("rows: expected 1 dimension");
    screener_->take(rows.data(), rows.shape(0));
  }

  py::dict report() const {
    py::dict values;
    for (const auto& [name, value] : screener_->report().values) values[py::str(name)] = value;
    return values;
  }

 private:
  const py::array x_;
  const int threads_;
  Control control_;
  std::unique_ptr<Screener> screener_;
};

Doubles py_row_norms(const py::array& x, int threads) {
  const MatrixView view = matrix_view(x, "x");
  check_threads(threads);
  Doubles out(view.rows);
  double* const norm = out.mutable_data();
  run_interruptible(threads, [&](Control& control) {
    Team team(threads, &control);
    team.for_chunks(view.rows, 1 << 12, [&](int64_t begin, int64_t end, int) {
      std::vector<double> u(static_cast<size_t>(view.cols));
      for (int64_t row = begin; row < end; ++row) norm[row] = row_scale(view, row, u.data()).norm();
    });
  });
  return out;
}

Uint32s py_order_of_norms(const Doubles& norms, int threads) {
  if (norms.ndim() != 1) throw py::value_error("norms: expected 1 dimension");
  check_threads(threads);
  const int64_t n = norms.shape(0);
  const double* const norm = norms.data();
  if (std::any_of(norm, norm + n, [](double v) { return !(v >= 0.0) || std::signbit(v); }))
    throw py::value_error("norms: must be numbers from 0");
  std::vector<uint32_t> order;
  run_interruptible(threads, [&](Control& control) {
    Team team(threads, &control);
    const std::unique_ptr<uint64_t[]> keys = uninitialized<uint64_t>(n);
    team.for_chunks(n, 1 << 16, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) keys[i] = std::bit_cast<uint64_t>(norm[i]);
    });
    order = stable_order(keys.get(), n, team);
  });
  return Uint32s(static_cast<py::ssize_t>(order.size()), order.data());
}

py::array_t<float> py_normal_rows(uint64_t seed, const Int64s& rows, int64_t cols, int threads) {
  if (rows.ndim() != 1 || cols < 1) throw py::value_error("normal_rows: bad shape");
  check_threads(threads);
  const int64_t n = rows.shape(0);
  const int64_t* const row = rows.data();
  if (std::any_of(row, row + n, [](int64_t r) { return r < 0; }))
    throw py::value_error("normal_rows: rows count from 0");
  py::array_t<float> out({n, cols});
  float* const data = out.mutable_data();
  run_interruptible(threads, [&](Control& control) {
    Team team(threads, &control);
    fill_normal_rows(seed, row, n, cols, data, team);
  });
  return out;
}

}  // namespace

void add_screener(py::module_& m) {
  py::class_<BoundScreener>(m, "Screener")
      .def(
          py::init<const py::array&, const Uint32s&, int64_t, int, const std::optional<Uint32s>&>(),
          py::arg("x"), py::arg("rank"), py::kw_only(), py::arg("first_row") = 0,
          py::arg("threads") = 1, py::arg("rows") = py::none())
      .def("search", &BoundScreener::search, py::arg("y"), py::kw_only(), py::arg("wanted"),
           py::arg("places"), py::arg("again") = false)
      .def("learn", &BoundScreener::learn, py::arg("level"))
      .def("take", &BoundScreener::take, py::arg("rows"))
      .def("report", &BoundScreener::report);
  m.def("row_norms", &py_row_norms, py::arg("x"), py::arg("threads"));
  m.def("order_of_norms", &py_order_of_norms, py::arg("norms"), py::arg("threads"));
  m.def("normal_rows", &py_normal_rows, py::arg("seed"), py::arg("rows"), py::arg("cols"),
        py::arg("threads"));
}

}  // namespace gtn::bindings
