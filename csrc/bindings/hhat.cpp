// The gradient of a small ĥ (gtn_fast/hhat.h).
#include "gtn_fast/hhat.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <string>

#include "bindings/bindings.h"

namespace gtn::bindings {
namespace {

using Floats = py::array_t<float, py::array::c_style>;

constexpr int64_t kMost = int64_t{1} << 31;  // numbers of a network, of a batch's layer

HHatShape shape_of(int64_t d, int64_t layers, int64_t width, int64_t norms, float slope, float eps,
                   float momentum) {
  const auto in = [](int64_t value, int64_t low, int64_t high) {
    return value >= low && value <= high;
  };
  if (!in(d, 1, 1 << 20) || !in(layers, 1, 1 << 10) || !in(width, 1, 1 << 20) ||
      !in(norms, 0, layers) || !(slope >= 0) || !(eps > 0) || !(momentum >= 0 && momentum <= 1))
    throw py::value_error("hhat: no such network");
  const HHatShape shape{d, layers, width, norms, slope, eps, momentum};
  if (shape.parameters() > kMost) throw py::value_error("hhat: the network is too large");
  return shape;
}

float* writable(Floats& a, const char* name, int64_t size) {
  if (a.size() != size) throw py::value_error(std::string(name) + ": unexpected size");
  return a.mutable_data();
}

float py_step(HHatGradient& self, const Floats& parameters, Floats& gradient, Floats& running_mean,
              Floats& running_var, const Floats& y, const Floats& x) {
  const HHatShape& s = self.shape();
  HHatBatch batch;
  batch.rows = y.ndim() == 2 ? y.shape(0) : 0;
  if (batch.rows < (s.norms ? 2 : 1)) throw py::value_error("y: too few rows");
  if (batch.rows > kMost / (s.widest() * (s.layers + 2))) throw py::value_error("y: too many rows");
  if (parameters.size() != s.parameters()) throw py::value_error("parameters: unexpected size");
  batch.parameters = parameters.data();
  batch.gradient = writable(gradient, "gradient", s.parameters());
  batch.running_mean = writable(running_mean, "running_mean", s.norms * s.width);
  batch.running_var = writable(running_var, "running_var", s.norms * s.width);
  expect(y, "y", {batch.rows, s.d});
  expect(x, "x", {batch.rows, s.d});
  batch.y = y.data();
  batch.x = x.data();
  return self(batch);  // with the GIL: a tenth of a millisecond, in the caller's own memory
}

}  // namespace

void add_hhat(py::module_& m) {
  // noconvert: a copy would take the gradient with it.
  py::class_<HHatGradient>(m, "HHatGradient")
      .def(py::init([](int64_t d, int64_t layers, int64_t width, int64_t norms, float slope,
                       float eps, float momentum) {
             return HHatGradient(shape_of(d, layers, width, norms, slope, eps, momentum));
           }),
           py::kw_only(), py::arg("d"), py::arg("layers"), py::arg("width"), py::arg("norms"),
           py::arg("slope"), py::arg("eps"), py::arg("momentum"))
      .def("__call__", &py_step, py::arg("parameters").noconvert(), py::arg("gradient").noconvert(),
           py::arg("running_mean").noconvert(), py::arg("running_var").noconvert(),
           py::arg("y").noconvert(), py::arg("x").noconvert());
}

}  // namespace gtn::bindings
