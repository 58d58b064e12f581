// Matching by lists (gtn_fast/list_matcher.h).
#include "gtn_fast/list_matcher.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <memory>

#include "bindings/bindings.h"
#include "bindings/watch.h"

namespace gtn::bindings {
namespace {

using Uint32s = py::array_t<uint32_t, py::array::c_style>;

// Holds x, y and centres; every call can be interrupted, after which it is of no more use.
class BoundListMatcher {
 public:
  BoundListMatcher(const py::object& x, const py::object& y, int threads, int64_t block,
                   int64_t list_length, double min_cosine)
      : x_(x), y_(y) {
    const MatrixView xv = any_matrix(x, "x"), yv = any_matrix(y, "y");
    check_threads(threads);
    options_.threads = threads;
    options_.block = block;
    options_.list_length = list_length;
    options_.min_cosine = min_cosine;
    n_y_ = yv.rows;
    watched([&] { matcher_ = std::make_unique<ListMatcher>(xv, yv, options_, &control_); });
  }

  void set_lists(const py::array& centres) {
    const MatrixView view = matrix_view(centres, "centres");
    if (view.rows < 1) throw py::value_error("centres: expected at least one row");
    watched([&] { matcher_->set_lists(view); });
    centres_ = centres;
  }

  void match_until(int64_t stop, int64_t probed, const py::object& progress) {
    run_watched(
        options_.threads, control_, [&] { matcher_->match_until(stop, probed); },
        [&] {
          if (progress.is_none()) return;
          call_python(progress, {py::int_(control_.done.load()).release().ptr(),
                                 py::int_(n_y_).release().ptr()});
        });
  }

  py::array_t<double> try_turns(const Uint32s& turns, int64_t probed) {
    if (turns.ndim() != 1) throw py::value_error("turns: expected 1 dimension");
    const int64_t n = turns.shape(0);
    if (std::any_of(turns.data(), turns.data() + n, [&](uint32_t t) { return t >= n_y_; }))
      throw py::value_error("turns: out of range");
    py::array_t<double> cosine(n);
    double* const out = cosine.mutable_data();
    watched([&] { matcher_->try_turns(turns.data(), n, probed, out); });
    return cosine;
  }

  int64_t done() const { return matcher_->done(); }
  int64_t free() const { return matcher_->free(); }

  // Rows of Y by turn; rows of X (-1: none) and cosines of the turns that are over.
  py::tuple pairs() const {
    const Assignment& from = matcher_->assignment();
    py::array_t<int64_t> turns(n_y_), x_row(done());
    py::array_t<double> cosine(done());
    std::copy_n(from.y_row.begin(), n_y_, turns.mutable_data());
    std::copy_n(from.cosine.begin(), done(), cosine.mutable_data());
    std::transform(from.x_row.begin(), from.x_row.begin() + done(), x_row.mutable_data(),
                   [](uint32_t row) { return row == kNoRow ? int64_t{-1} : int64_t{row}; });
    return py::make_tuple(turns, x_row, cosine);
  }

  py::dict report() const {
    py::dict values;
    for (const auto& [name, value] : matcher_->report().values) values[py::str(name)] = value;
    return values;
  }

 private:
  template <class Work>
  void watched(const Work& work) {
    run_watched(options_.threads, control_, work, [] {});
  }

  const py::object x_, y_;
  py::object centres_;
  Options options_;
  int64_t n_y_ = 0;
  Control control_;
  std::unique_ptr<ListMatcher> matcher_;
};

}  // namespace

void add_list_matcher(py::module_& m) {
  py::class_<BoundListMatcher>(m, "ListMatcher")
      .def(py::init<const py::object&, const py::object&, int, int64_t, int64_t, double>(),
           py::arg("x"), py::arg("y"), py::kw_only(), py::arg("threads"), py::arg("block") = 0,
           py::arg("list_length") = 0, py::arg("min_cosine") = kAnyCosine)
      .def("set_lists", &BoundListMatcher::set_lists, py::arg("centres"))
      .def("match_until", &BoundListMatcher::match_until, py::arg("stop"), py::kw_only(),
           py::arg("probed"), py::arg("progress") = py::none())
      .def("try_turns", &BoundListMatcher::try_turns, py::arg("turns"), py::kw_only(),
           py::arg("probed"))
      .def_property_readonly("done", &BoundListMatcher::done)
      .def_property_readonly("free", &BoundListMatcher::free)
      .def("pairs", &BoundListMatcher::pairs)
      .def("report", &BoundListMatcher::report);
}

}  // namespace gtn::bindings
