#include "gtn_fast/parallel.h"

#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <system_error>

#include "gtn_fast/environment.h"

namespace gtn {
namespace {

// A team has more threads than CPUs only where it is told to: some wait for a disk, not for a CPU.
constexpr int kMostPerCpu = 4, kAlwaysAllowed = 16;

int cpus() { return std::max(1, static_cast<int>(std::thread::hardware_concurrency())); }

int sensible(int threads) {
  return std::clamp(threads, 1, std::max(kAlwaysAllowed, kMostPerCpu * cpus()));
}

void add_limit(std::string& text, int resource, const char* name) {
  rlimit limit{};
  if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return;
  text += (text.empty() ? "" : ", ") + std::string(name) + " " + std::to_string(limit.rlim_cur);
}

std::string limits() {
  std::string text;
#if defined(RLIMIT_NPROC)
  add_limit(text, RLIMIT_NPROC, "ulimit -u");
#endif
  add_limit(text, RLIMIT_AS, "ulimit -v");
  for (const char* path : {"/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"}) {
    std::string most;
    if (std::ifstream(path) >> most && most != "max")
      text += (text.empty() ? "" : ", ") + std::string("pids.max of the container ") + most;
  }
  return text.empty() ? "none is set here" : text;
}

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

// Waits for done() for a fraction of a millisecond at most, where that takes a CPU from no other
// thread of the team.
template <class Done>
void wait_a_while(bool spins, const Done& done) {
  if (!spins) return;
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

ThreadsRefused::ThreadsRefused(int started, int wanted)
    : std::runtime_error("the system refused a thread (" + std::to_string(started) + " of " +
                         std::to_string(wanted) + " started; limits: " + limits() +
                         "): raise the limit, or give threads=1, which needs no other thread") {}

Team::Team(int threads, Control* control)
    : threads_(sensible(threads)), spins_(threads_ <= cpus()), control_(control) {
  workers_.reserve(static_cast<size_t>(threads_ - 1));
  try {
    for (int t = 1; t < threads_; ++t)  // a thread starts in the environment of its creator
      workers_.emplace_back([this, t] { in_default_environment([&] { worker(t); }); });
  } catch (const std::system_error&) {
    const int started = static_cast<int>(workers_.size());
    shut_down();
    throw ThreadsRefused(started + 1, threads_);
  } catch (...) {
    shut_down();
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
    wait_a_while(spins_, [&] { return generation_.load(std::memory_order_acquire) != seen; });
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
  wait_a_while(spins_, [&] { return pending_.load(std::memory_order_acquire) == 0; });
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
