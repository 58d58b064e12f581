#include "gtn_fast/parallel.h"

#include <algorithm>

#include "gtn_fast/environment.h"

namespace gtn {
namespace {

// Phases of a match follow each other within microseconds, so a thread looks for
// the next one for a while before it sleeps: at first without leaving the core,
// then letting others have it in between.
constexpr int kSpins = 2000;
constexpr int kYields = 400;

inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

// Waits for done() for a fraction of a millisecond at most.
template <class Done>
void wait_a_while(const Done& done) {
  for (int i = 0; i < kSpins; ++i) {
    if (done()) return;
    relax();
  }
  for (int i = 0; i < kYields; ++i) {
    if (done()) return;
    std::this_thread::yield();
  }
}

}  // namespace

Team::Team(int threads, Control* control) : threads_(std::max(1, threads)), control_(control) {
  workers_.reserve(static_cast<size_t>(threads_ - 1));
  try {
    for (int t = 1; t < threads_; ++t)  // a thread starts in the environment of its creator
      workers_.emplace_back([this, t] { in_default_environment([&] { worker(t); }); });
  } catch (...) {
    shut_down();  // the system refused a thread: join those that run, then report
    throw;
  }
}

Team::~Team() { shut_down(); }

void Team::shut_down() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_.store(true);
  }
  wake_.notify_all();
  for (std::thread& w : workers_) w.join();
  workers_.clear();
}

void Team::run_body(int thread) {
  try {
    (*body_)(thread);
  } catch (...) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!error_) error_ = std::current_exception();
  }
}

void Team::worker(int thread) {
  uint64_t seen = 0;
  for (;;) {
    wait_a_while([&] { return generation_.load(std::memory_order_acquire) != seen; });
    {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [&] { return stop_.load() || generation_.load() != seen; });
      if (stop_.load()) return;
      seen = generation_.load();
    }
    run_body(thread);
    if (pending_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      std::lock_guard<std::mutex> lock(mutex_);
      finished_.notify_one();
    }
  }
}

void Team::run(const std::function<void(int)>& body) {
  if (threads_ == 1) {
    in_default_environment([&] { body(0); });
    return;
  }
  {
    std::lock_guard<std::mutex> lock(mutex_);
    body_ = &body;
    error_ = nullptr;
    pending_.store(threads_ - 1);
    generation_.fetch_add(1, std::memory_order_release);
  }
  wake_.notify_all();
  in_default_environment([&] { run_body(0); });
  wait_a_while([&] { return pending_.load(std::memory_order_acquire) == 0; });
  std::exception_ptr error;
  {
    std::unique_lock<std::mutex> lock(mutex_);
    finished_.wait(lock, [&] { return pending_.load(std::memory_order_acquire) == 0; });
    body_ = nullptr;
    std::swap(error, error_);
  }
  if (error) std::rethrow_exception(error);
}

void Team::for_chunks(int64_t n, int64_t grain,
                      const std::function<void(int64_t, int64_t, int)>& body) {
  grain = std::max<int64_t>(1, grain);
  if (n <= grain || threads_ == 1) {
    in_default_environment([&] {
      for (int64_t begin = 0; begin < n; begin += grain) {
        check();
        body(begin, std::min(n, begin + grain), 0);
      }
    });
    return;
  }
  std::atomic<int64_t> next{0};
  std::atomic<bool> failed{false};
  run([&](int thread) {
    try {
      while (!failed.load(std::memory_order_relaxed)) {
        const int64_t begin = next.fetch_add(grain, std::memory_order_relaxed);
        if (begin >= n) return;
        check();
        body(begin, std::min(n, begin + grain), thread);
      }
    } catch (...) {
      failed.store(true);  // the others stop at their next chunk
      throw;
    }
  });
}

}  // namespace gtn
