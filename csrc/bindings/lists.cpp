// Candidate lists from elsewhere (gtn_fast/lists.h), and how large their blocks should be.
#include "gtn_fast/lists.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <string>
#include <vector>

#include "bindings/bindings.h"
#include "bindings/watch.h"
#include "gtn_fast/block_policy.h"
#include "gtn_fast/order.h"

namespace gtn::bindings {
namespace {

using Int64s = py::array_t<int64_t, py::array::c_style>;
using Uint32s = py::array_t<uint32_t, py::array::c_style>;
using Bytes = py::array_t<uint8_t, py::array::c_style>;
using Doubles = py::array_t<double, py::array::c_style>;

// A block of lists from elsewhere is at most the free x's / kBlockShare: twice the engine's own,
// since a round of messages or of launches on a device costs the same whatever its size.
constexpr int64_t kBlockShare = 32;

ListsView view_of(const Int64s& lists) {
  if (lists.ndim() != 2) throw py::value_error("lists: expected 2 dimensions");
  return {lists.shape(0), lists.shape(1), lists.data()};
}

Uint32s py_norm_order(const py::object& x, int threads) {
  const MatrixView v = any_matrix(x, "x");
  check_threads(threads);
  std::vector<uint32_t> order;
  run_interruptible(threads, [&](Control& control) {
    Team team(threads, &control);
    order = norm_order(row_scales(v, {}, team), {}, team);
  });
  return Uint32s(static_cast<py::ssize_t>(order.size()), order.data());
}

Doubles py_evaluate_lists(const py::object& x, const py::object& y, const Int64s& y_rows,
                          const Int64s& lists, int threads) {
  const MatrixView xv = any_matrix(x, "x"), yv = any_matrix(y, "y");
  if (xv.cols != yv.cols) throw py::value_error("lists: X and Y differ in columns");
  check_threads(threads);
  const ListsView view = view_of(lists);
  expect(y_rows, "y_rows", {view.n});
  Doubles cosine({view.n, view.k});
  double* const out = cosine.mutable_data();
  const int64_t* const rows = y_rows.data();
  run_interruptible(threads, [&](Control& control) {
    Team team(threads, &control);
    evaluate_lists(xv, yv, rows, view, out, team);
  });
  return cosine;
}

// Changes taken, chosen and chosen_cosine in place.
py::tuple py_resolve_lists(const Int64s& lists, const Doubles& cosine, const Doubles& level_cosine,
                           const Uint32s& level_rank, const Uint32s& x_rank, Bytes& taken,
                           int64_t begin, Int64s& chosen, Doubles& chosen_cosine,
                           double min_cosine) {
  const ListsView view = view_of(lists);
  const py::ssize_t n_x = x_rank.ndim() == 1 ? x_rank.shape(0) : 0;
  expect(cosine, "cosine", {view.n, view.k});
  expect(level_cosine, "level_cosine", {view.n});
  expect(level_rank, "level_rank", {view.n});
  expect(taken, "taken", {n_x});
  expect(chosen, "chosen", {view.n});
  expect(chosen_cosine, "chosen_cosine", {view.n});
  if (begin < 0 || begin > view.n) throw py::value_error("begin: out of range");
  if (std::any_of(view.x_row, view.x_row + view.n * view.k,
                  [n_x](int64_t row) { return row < -1 || row >= n_x; }))
    throw py::value_error("lists: a row of X is out of range");
  std::vector<ListLevel> level;
  for (py::ssize_t i = 0; i < view.n; ++i)
    level.push_back({level_cosine.data()[i], level_rank.data()[i]});
  std::vector<int64_t> dry;
  const int64_t end =
      resolve_lists(view, cosine.data(), level.data(), x_rank.data(), taken.mutable_data(), begin,
                    chosen.mutable_data(), chosen_cosine.mutable_data(), dry, min_cosine);
  return py::make_tuple(end, Int64s(static_cast<py::ssize_t>(dry.size()), dry.data()));
}

}  // namespace

void add_lists(py::module_& m) {
  py::class_<BlockPolicy>(m, "BlockPolicy")
      .def(py::init([](int64_t block, int64_t list_length, int wanted) {
             return BlockPolicy(block, list_length, wanted, kBlockShare);
           }),
           py::kw_only(), py::arg("block"), py::arg("list_length"), py::arg("wanted"))
      .def_property_readonly("size", &BlockPolicy::size)
      .def_property_readonly("wanted", &BlockPolicy::wanted)
      .def("served", &BlockPolicy::served, py::arg("n"), py::arg("dry"), py::arg("free"));
  m.def("norm_order", &py_norm_order, py::arg("x"), py::arg("threads"));
  m.def("evaluate_lists", &py_evaluate_lists, py::arg("x"), py::arg("y"), py::arg("y_rows"),
        py::arg("lists"), py::arg("threads"));
  m.def("resolve_lists", &py_resolve_lists, py::arg("lists"), py::arg("cosine"),
        py::arg("level_cosine"), py::arg("level_rank"), py::arg("x_rank"),
        py::arg("taken").noconvert(), py::arg("begin"), py::arg("chosen").noconvert(),
        py::arg("chosen_cosine").noconvert(), py::arg("min_cosine") = kAnyCosine);
}

}  // namespace gtn::bindings
