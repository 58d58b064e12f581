// What the files of the Python module share.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <vector>

#include "gtn_fast/direction.h"
#include "gtn_fast/matrix.h"
#include "gtn_fast/parallel.h"

namespace gtn::bindings {

namespace py = pybind11;

// A view of a 2-D float32 or float64 array with contiguous rows; ValueError or TypeError.
MatrixView matrix_view(const py::array& a, const char* name);
// Also several arrays, one below the other (a list), or what is drawn: (seed, rows, cols).
MatrixView any_matrix(const py::object& a, const char* name);
void check_threads(int threads);
void expect(const py::array& a, const char* name, const std::vector<py::ssize_t>& shape);

void add_device(py::module_& m);
void add_list_matcher(py::module_& m);
void add_lists(py::module_& m);
void add_screener(py::module_& m);

}  // namespace gtn::bindings
