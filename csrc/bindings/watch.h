// Long calls: without the interpreter's lock, open to signals, and in nobody's way at exit.
#pragma once

#include <pybind11/pybind11.h>

#include <functional>
#include <initializer_list>

#include "gtn_fast/parallel.h"

namespace gtn::bindings {

namespace py = pybind11;

// Runs work() without the interpreter's lock. Meanwhile the calling thread handles signals and
// calls tick(), ten times per second. An exception of a signal handler (Ctrl-C) or of tick() (a
// failing callback) cancels the work; once the work has ended, the exception is raised.
//
// With one thread the work is done in the calling thread, and Control::check() is where it reacts.
// With more, the work has a thread of its own; ThreadsRefused if the system refuses it.
//
// When the interpreter ends, Cancelled is thrown in all threads but the one that ends it. Where it
// is too late for that, the calling thread sleeps until the process is gone: Python would end it
// by unwinding its stack, through frames that must not be unwound.
void run_watched(int threads, Control& control, const std::function<void()>& work,
                 const std::function<void()>& tick);

template <class Work>
void run_interruptible(int threads, const Work& work) {
  Control control;
  run_watched(threads, control, [&] { work(control); }, [] {});
}

// Calls f(args...) and takes over these references. What f raises is thrown.
// No object of ours is on the stack meanwhile: see above.
void call_python(py::handle f, std::initializer_list<PyObject*> args);

// end_calls(): cancels what other threads call, and waits for it. For gtn_fast/system/ending.py,
// which calls it when the interpreter ends.
void add_watch(py::module_& m);

}  // namespace gtn::bindings
