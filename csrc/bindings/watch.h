// Runs the engine on a thread of its own, so that Python can react while it works.
#pragma once

#include <pybind11/pybind11.h>

#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#include "gtn_fast/parallel.h"

namespace gtn::bindings {

namespace py = pybind11;

// Runs work(control) on a thread of its own. Meanwhile the calling thread handles signals and
// calls tick(), ten times per second. An exception of a signal handler (Ctrl-C) or of tick() (a
// failing callback) cancels the work; once the work has ended, the exception is raised.
template <class Work, class Tick>
void run_watched(const Work& work, Control& control, const Tick& tick) {
  std::mutex mutex;
  std::condition_variable finished;
  bool done = false;
  std::exception_ptr failure;
  std::thread worker([&] {
    try {
      work(control);
    } catch (...) {
      failure = std::current_exception();
    }
    std::lock_guard<std::mutex> lock(mutex);
    done = true;
    finished.notify_one();
  });
  std::exception_ptr interrupt;
  for (;;) {
    {
      py::gil_scoped_release release;
      std::unique_lock<std::mutex> lock(mutex);
      finished.wait_for(lock, std::chrono::milliseconds(100), [&] { return done; });
      if (done) break;
    }
    if (interrupt) continue;
    try {
      if (PyErr_CheckSignals() != 0) throw py::error_already_set();
      tick();
    } catch (...) {
      interrupt = std::current_exception();
      control.cancel.store(true);
    }
  }
  worker.join();
  if (interrupt) std::rethrow_exception(interrupt);
  if (failure) std::rethrow_exception(failure);
}

template <class Work>
void run_interruptible(const Work& work) {
  Control control;
  run_watched(work, control, [] {});
}

}  // namespace gtn::bindings
