#include "bindings/watch.h"

#include <cxxabi.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "gtn_fast/environment.h"

namespace gtn::bindings {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kTick{100};
constexpr std::chrono::seconds kPatience{5};  // with calls of other threads, at the end

[[noreturn]] void sleep_for_ever() {
  for (;;) pause();
}

// Calls f(), which may ask for the interpreter's lock. At the end of the interpreter Python (3.13
// and older) answers that with pthread_exit, whose unwinding no frame of ours survives: locals
// would let go of Python's objects, and a thread that still works would lose its data.
template <class F>
void with_python(const F& f) {
#if defined(__GLIBCXX__)
  try {
    f();
  } catch (abi::__forced_unwind&) {
    sleep_for_ever();
  }
#else
  f();
#endif
}

bool finalizing() {
#if PY_VERSION_HEX >= 0x030D0000
  return Py_IsFinalizing() != 0;
#else
  return _Py_IsFinalizing() != 0;
#endif
}

// The calls that are at work, so that the end of the interpreter can wait for them.
class Calls {
 public:
  Calls() { pthread_atfork(lock, unlock, forget); }

  // False if the interpreter ends and another thread sees to that: no call begins.
  bool begin(Control& control) {
    std::lock_guard<std::mutex> guard(mutex_);
    if (ending_ && std::this_thread::get_id() != ender_) return false;
    controls_.push_back(&control);
    return true;
  }

  // Whether the calling thread is the one that ends the interpreter.
  bool ends_here() {
    std::lock_guard<std::mutex> guard(mutex_);
    return ending_ && std::this_thread::get_id() == ender_;
  }

  void end(Control& control) {
    std::lock_guard<std::mutex> guard(mutex_);
    controls_.erase(std::find(controls_.begin(), controls_.end(), &control));
    none_.notify_all();
  }

  // Cancels all, and waits until they have ended.
  void end_all() {
    std::unique_lock<std::mutex> guard(mutex_);
    ending_ = true;
    ender_ = std::this_thread::get_id();
    for (Control* control : controls_) control->cancel.store(true);
    none_.wait_for(guard, kPatience, [this] { return controls_.empty(); });
  }

 private:
  static void lock();
  static void unlock();
  static void forget();  // in a forked child: the threads of the calls are not there

  std::mutex mutex_;
  std::condition_variable none_;
  std::vector<Control*> controls_;
  bool ending_ = false;
  std::thread::id ender_;
};

// Never destroyed: threads may still use it when the process ends.
Calls& calls() {
  static Calls* const all = new Calls;
  return *all;
}

void Calls::lock() { calls().mutex_.lock(); }

void Calls::unlock() { calls().mutex_.unlock(); }

void Calls::forget() {
  calls().controls_.clear();
  calls().mutex_.unlock();
}

void take_lock(PyThreadState* state) {
  if (finalizing() && !calls().ends_here()) sleep_for_ever();
  with_python([state] { PyEval_RestoreThread(state); });
}

class Call {
 public:
  explicit Call(Control& control) : control_(control) {
    if (!calls().begin(control)) throw Cancelled();
  }
  ~Call() { calls().end(control_); }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

 private:
  Control& control_;
};

// What Python has to say in between: signals, and what the caller does ten times per second.
class Interrupt {
 public:
  Interrupt(Control& control, const std::function<void()>& tick) : control_(control), tick_(tick) {}

  // With the interpreter's lock.
  void look() {
    with_python([this] {
      try {
        if (PyErr_CheckSignals() != 0) throw py::error_already_set();
        tick_();
#if defined(__GLIBCXX__)
      } catch (abi::__forced_unwind&) {
        throw;
#endif
      } catch (...) {
        raised_ = std::current_exception();
        control_.cancel.store(true);
      }
    });
  }

  bool raised() const { return raised_ != nullptr; }
  void rethrow() const {
    if (raised_) std::rethrow_exception(raised_);
  }

 private:
  Control& control_;
  const std::function<void()>& tick_;
  std::exception_ptr raised_;
};

std::exception_ptr work_here(Control& control, const std::function<void()>& work,
                             Interrupt& interrupt) {
  std::exception_ptr failure;
  PyThreadState* state = PyEval_SaveThread();
  Clock::time_point next = Clock::now() + kTick;
  control.poll = [&] {
    if (Clock::now() < next) return;
    // A callback may change the floating-point environment of the thread, which is at work.
    in_default_environment([&] {
      take_lock(state);
      interrupt.look();
      state = PyEval_SaveThread();
    });
    next = Clock::now() + kTick;
    if (control.cancel.load(std::memory_order_relaxed)) throw Cancelled();
  };
  try {
    work();
  } catch (...) {
    failure = std::current_exception();
  }
  control.poll = nullptr;
  take_lock(state);
  return failure;
}

std::exception_ptr work_beside(int threads, const std::function<void()>& work,
                               Interrupt& interrupt) {
  std::mutex mutex;
  std::condition_variable finished;
  bool done = false;
  std::exception_ptr failure;
  std::thread worker;
  try {
    worker = std::thread([&] {
      try {
        work();
      } catch (...) {
        failure = std::current_exception();
      }
      std::lock_guard<std::mutex> lock(mutex);
      done = true;
      finished.notify_one();
    });
  } catch (const std::system_error&) {
    throw ThreadsRefused(0, threads);
  }
  PyThreadState* state = PyEval_SaveThread();
  for (;;) {
    {
      std::unique_lock<std::mutex> lock(mutex);
      finished.wait_for(lock, kTick, [&] { return done; });
      if (done) break;
    }
    if (interrupt.raised()) continue;
    take_lock(state);
    interrupt.look();
    state = PyEval_SaveThread();
  }
  worker.join();
  take_lock(state);
  return failure;
}

void end_calls() {
  PyThreadState* const state = PyEval_SaveThread();
  calls().end_all();
  PyEval_RestoreThread(state);
}

}  // namespace

void run_watched(int threads, Control& control, const std::function<void()>& work,
                 const std::function<void()>& tick) {
  const Call call(control);
  Interrupt interrupt(control, tick);
  const std::exception_ptr failure =
      threads == 1 ? work_here(control, work, interrupt) : work_beside(threads, work, interrupt);
  interrupt.rethrow();
  if (failure) std::rethrow_exception(failure);
}

void call_python(py::handle f, std::initializer_list<PyObject*> args) {
  PyObject* result = nullptr;
  with_python([&] { result = PyObject_Vectorcall(f.ptr(), args.begin(), args.size(), nullptr); });
  for (PyObject* each : args) Py_DECREF(each);
  if (result == nullptr) throw py::error_already_set();
  Py_DECREF(result);
}

void add_watch(py::module_& m) { m.def("end_calls", &end_calls); }

}  // namespace gtn::bindings
