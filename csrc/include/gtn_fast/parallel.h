// Threads of our own: started for one call, joined before it returns.
//
// A thread that waits sleeps, after some hundred microseconds at most. No OpenMP, so nothing
// clashes with the runtimes of torch or FAISS and a call in a forked child works. A worker's
// exception is rethrown in the caller.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

namespace gtn {

// Thrown out of the engine when Control::cancel was set.
struct Cancelled : std::runtime_error {
  Cancelled() : std::runtime_error("cancelled") {}
};

// Thrown where the system refuses a thread. what() names the limits that are set, and the way out.
struct ThreadsRefused : std::runtime_error {
  ThreadsRefused(int started, int wanted);
};

// Shared between a running match and whoever watches it.
struct Control {
  std::atomic<int64_t> done{0};  // rows of Y matched so far
  // Of those, whose pairs are final and written: may be read once this was acquired.
  std::atomic<int64_t> settled{0};
  std::atomic<bool> cancel{false};
  // Where the work is done in the thread that watches it, with a team of one: called by check().
  std::function<void()> poll;
  void check() const {
    if (cancel.load(std::memory_order_relaxed)) throw Cancelled();
    if (poll) poll();
  }
};

class Team {
 public:
  // So many threads, the caller's included; but not more than a few for each CPU: the others
  // could only wait. ThreadsRefused.
  Team(int threads, Control* control = nullptr);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  int size() const { return threads_; }
  Control* control() const { return control_; }
  // The first `n` choices are final and written.
  void settle(int64_t n) const {
    if (!control_) return;
    control_->done.store(n, std::memory_order_relaxed);
    control_->settled.store(n, std::memory_order_release);
  }
  // Throws Cancelled when asked to stop; call at least every 50 ms of work.
  void check() const {
    if (control_) control_->check();
  }

  // Runs body(thread) once on every thread, thread = 0..size()-1; the caller is
  // thread 0. Returns when all are done. The first exception is rethrown. Bodies run in the
  // default floating-point environment (environment.h), the caller's too.
  void run(const std::function<void(int)>& body);

  // body(begin, end, thread) over [0, n) in chunks of at most `grain`, handed
  // out dynamically. Checks for cancellation between chunks.
  void for_chunks(int64_t n, int64_t grain, const std::function<void(int64_t, int64_t, int)>& body);

 private:
  void worker(int thread);
  void run_body(int thread);
  void shut_down();

  const int threads_;
  const bool spins_;  // while it waits: for each thread there is a CPU
  Control* control_;
  const std::function<void(int)>* body_ = nullptr;
  std::atomic<uint64_t> generation_{0};
  std::atomic<int> pending_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable finished_;
  std::exception_ptr error_;
  std::vector<std::thread> workers_;
};

}  // namespace gtn
