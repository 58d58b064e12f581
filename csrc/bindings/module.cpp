// Arrays in, arrays out, GIL, signals, exceptions; nothing else.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <optional>
#include <string>
#include <tuple>

#include "bindings/bindings.h"
#include "bindings/mapped.h"
#include "bindings/watch.h"
#include "engine/calibrate.h"
#include "gtn_fast/direction.h"
#include "gtn_fast/environment.h"
#include "gtn_fast/match.h"
#include "gtn_fast/normal.h"
#include "gtn_fast/parallel.h"
#include "kernels/levels.h"
#include "strategies/screen/pages.h"

namespace gtn::bindings {

MatrixView matrix_view(const py::array& a, const char* name) {
  if (a.ndim() != 2) throw py::value_error(std::string(name) + ": expected 2 dimensions");
  MatrixView v;
  if (py::isinstance<py::array_t<float>>(a))
    v.dtype = DType::kFloat32;
  else if (py::isinstance<py::array_t<double>>(a))
    v.dtype = DType::kFloat64;
  else
    throw py::type_error(std::string(name) + ": expected float32 or float64");
  const py::ssize_t size = a.itemsize();
  v.all.data = a.data();
  v.rows = a.shape(0);
  v.cols = a.shape(1);
  if (v.cols > 1 && a.strides(1) != size)
    throw py::value_error(std::string(name) + ": the last axis must be contiguous");
  if (v.rows > 1 && (a.strides(0) % size != 0 || a.strides(0) < v.cols * size))
    throw py::value_error(std::string(name) + ": rows must be whole and ascending in memory");
  v.all.row_stride = v.rows > 1 ? a.strides(0) / size : v.cols;
  return v;
}

MatrixView any_matrix(const py::object& a, const char* name) {
  if (py::isinstance<py::array>(a)) return matrix_view(a, name);
  MatrixView v;
  if (py::isinstance<py::tuple>(a)) {
    const auto [seed, rows, cols] = a.cast<std::tuple<uint64_t, int64_t, int64_t>>();
    v.drawn = true;
    v.seed = seed;
    v.rows = rows;
    v.cols = cols;
    if (rows < 1 || cols < 1) throw py::value_error(std::string(name) + " is empty");
    return v;
  }
  for (const py::handle& each : a.cast<py::list>()) {
    const MatrixView part = matrix_view(py::reinterpret_borrow<py::array>(each), name);
    if (v.parts.empty()) {
      v.dtype = part.dtype;
      v.cols = part.cols;
    }
    if (part.dtype != v.dtype || part.cols != v.cols)
      throw py::value_error(std::string(name) + ": parts differ in dtype or columns");
    v.parts.push_back({v.rows, part.all.data, part.all.row_stride});
    v.rows += part.rows;
  }
  if (v.rows < 1) throw py::value_error(std::string(name) + " is empty");
  return v;
}

void check_threads(int threads) {
  if (threads < 1 || threads > 4096) throw py::value_error("threads out of range");
}

void expect(const py::array& a, const char* name, const std::vector<py::ssize_t>& shape) {
  const std::vector<py::ssize_t> got(a.shape(), a.shape() + a.ndim());
  if (got != shape) throw py::value_error(std::string(name) + ": unexpected shape");
}

namespace {

Strategy strategy_of(const std::string& name) {
  if (name == "ray") return Strategy::kRay;
  if (name == "circle") return Strategy::kCircle;
  if (name == "tree") return Strategy::kTree;
  if (name == "screen") return Strategy::kScreen;
  throw py::value_error("strategy '" + name + "': expected ray, circle, tree or screen");
}

Metric metric_of(const std::string& name) {
  if (name == "cosine") return Metric::kCosine;
  if (name == "euclidean") return Metric::kEuclidean;
  throw py::value_error("metric '" + name + "': expected cosine or euclidean");
}

int64_t row_of(uint32_t x_row) { return x_row == kNoRow ? -1 : int64_t{x_row}; }

// Hands the pairs that became final to Python while the match goes on, those that it was
// not given before, at most once in `every` seconds.
class SettledPairs {
 public:
  SettledPairs(const Assignment& pairs, const Control& control, py::object call, double every)
      : pairs_(pairs), control_(control), call_(std::move(call)), every_(every) {}

  void now_and_then() {
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - last_;
    if (passed.count() >= every_) hand_over();
  }

  void hand_over() {
    const int64_t end = control_.settled.load(std::memory_order_acquire);
    if (call_.is_none() || end == given_) return;
    const py::ssize_t n = end - given_;
    py::array_t<int64_t> y(n), x(n);
    py::array_t<double> cosine(n);
    for (py::ssize_t i = 0; i < n; ++i) {
      const size_t rank = static_cast<size_t>(given_ + i);
      y.mutable_data()[i] = pairs_.y_row[rank];
      x.mutable_data()[i] = row_of(pairs_.x_row[rank]);
      cosine.mutable_data()[i] = pairs_.cosine[rank];
    }
    given_ = end;
    call_python(call_, {y.release().ptr(), x.release().ptr(), cosine.release().ptr()});
    last_ = std::chrono::steady_clock::now();
  }

 private:
  const Assignment& pairs_;
  const Control& control_;
  const py::object call_;
  const double every_;
  int64_t given_ = 0;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

void tell(const py::object& progress, int64_t done, int64_t total) {
  if (progress.is_none()) return;
  call_python(progress, {py::int_(done).release().ptr(), py::int_(total).release().ptr()});
}

using RowNumbers = py::array_t<uint32_t, py::array::c_style>;

Rows rows_of(const std::optional<RowNumbers>& rows, const char* name) {
  if (!rows) return {};
  if (rows->ndim() != 1) throw py::value_error(std::string(name) + ": expected 1 dimension");
  return {rows->data(), rows->shape(0)};
}

py::tuple py_match(const py::object& x, const py::object& y, const std::string& strategy,
                   int threads, int64_t block, int64_t list_length, const py::object& progress,
                   const std::optional<RowNumbers>& x_rows, const std::optional<RowNumbers>& y_rows,
                   const py::object& settled, double settled_every, bool out_of_core,
                   const std::string& scratch, double min_cosine, const std::string& metric,
                   const std::optional<bool>& cones) {
  const MatrixView xv = any_matrix(x, "x");
  const MatrixView yv = any_matrix(y, "y");
  const Rows x_part = rows_of(x_rows, "x_rows"), y_part = rows_of(y_rows, "y_rows");
  Options options;
  options.strategy = strategy_of(strategy);
  options.threads = threads;
  options.block = block;
  options.list_length = list_length;
  options.out_of_core = out_of_core;
  options.scratch = scratch;
  options.min_cosine = min_cosine;
  options.metric = metric_of(metric);
  if (cones) options.cones = *cones ? UseCones::kAlways : UseCones::kNever;
  simd_active();  // a bad GTN_FAST_SIMD is reported before any work
  const int64_t n_y = y_part.all() ? yv.rows : y_part.n;
  Report report;
  Control control;
  Assignment pairs;
  SettledPairs final_pairs(pairs, control, settled, settled_every);
  try {
    run_watched(
        threads, control, [&] { match(xv, yv, x_part, y_part, options, control, pairs, report); },
        [&] {
          tell(progress, control.done.load(), n_y);
          final_pairs.now_and_then();
        });
  } catch (...) {
    final_pairs.hand_over();  // what is done is not lost
    throw;
  }
  final_pairs.hand_over();
  tell(progress, n_y, n_y);
  py::array_t<int64_t> x_index(yv.rows), order(n_y);
  py::array_t<double> cosine(yv.rows);
  std::fill_n(x_index.mutable_data(), y_part.all() ? 0 : yv.rows, -1);
  std::fill_n(cosine.mutable_data(), y_part.all() ? 0 : yv.rows, 0.0);
  for (int64_t rank = 0; rank < n_y; ++rank) {
    const size_t r = static_cast<size_t>(rank);
    const int64_t row = pairs.y_row[r];
    order.mutable_data()[rank] = row;
    x_index.mutable_data()[row] = row_of(pairs.x_row[r]);
    cosine.mutable_data()[row] = pairs.cosine[r];
  }
  py::dict values;
  for (const auto& [name, value] : report.values) values[py::str(name)] = value;
  return py::make_tuple(x_index, cosine, order, values);
}

py::array_t<float> py_normal(uint64_t seed, int64_t first_row, int64_t rows, int64_t cols,
                             int threads) {
  if (first_row < 0 || rows < 0 || cols < 1) throw py::value_error("normal: bad shape");
  check_threads(threads);
  py::array_t<float> out({rows, cols});
  float* const data = out.mutable_data();
  run_interruptible(threads, [&](Control& control) {
    Team team(threads, &control);
    fill_normal(seed, first_row, rows, cols, data, team);
  });
  return out;
}

}  // namespace
}  // namespace gtn::bindings

PYBIND11_MODULE(_native, m) {
  using namespace gtn;
  using namespace gtn::bindings;
  m.doc() = "The labeling engine; see csrc/README.md. Use it through gtn_fast.";
  m.attr("__version__") = GTN_VERSION;

  py::register_local_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const Cancelled&) {
      PyErr_SetNone(PyExc_KeyboardInterrupt);
    } catch (const ThreadsRefused& error) {
      PyErr_SetString(PyExc_OSError, error.what());
    } catch (const FileRefused& error) {
      PyErr_SetString(PyExc_OSError, error.what());
    }
  });

  m.def("match", &py_match, py::arg("x"), py::arg("y"), py::kw_only(), py::arg("strategy"),
        py::arg("threads"), py::arg("block") = 0, py::arg("list_length") = 0,
        py::arg("progress") = py::none(), py::arg("x_rows") = py::none(),
        py::arg("y_rows") = py::none(), py::arg("settled") = py::none(),
        py::arg("settled_every") = 30.0, py::arg("out_of_core") = false, py::arg("scratch") = "",
        py::arg("min_cosine") = kAnyCosine, py::arg("metric") = "cosine",
        py::arg("cones") = py::none());
  m.def("normal", &py_normal, py::arg("seed"), py::arg("first_row"), py::arg("rows"),
        py::arg("cols"), py::arg("threads"));
  add_device(m);
  add_watch(m);
  add_list_matcher(m);
  add_lists(m);
  add_screener(m);
  m.def("simd_levels", [] {
    std::vector<std::string> names;
    for (const SimdLevel* level : simd_usable()) names.emplace_back(level->name);
    return names;
  });
  m.def("simd_compiled", [] {
    std::vector<std::string> names;
    for (const SimdLevel& level : simd_compiled()) names.emplace_back(level.name);
    return names;
  });
  m.def("simd_active", [] { return std::string(simd_active().name); });
  m.def("sift_cost", [] { return simd_active().kernels->sift_cost; });
  m.def("guard_map", &guard_map, py::arg("address"), py::arg("bytes"));
  m.def("map_failed", &map_failed, py::arg("number"));
  m.def("release_map", &release_map, py::arg("number"));
  m.def(
      "screening_rate",
      [](int64_t d) {
        if (d < 1 || d > (int64_t{1} << 20))
          throw py::value_error("screening_rate: d out of range");
        double rate = 0.0;
        run_interruptible(1, [&](Control&) { rate = screening_rate(d); });
        return rate;
      },
      py::arg("d"));
}
