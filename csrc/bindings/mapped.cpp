#include "bindings/mapped.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <deque>
#include <mutex>
#include <stdexcept>

namespace gtn::bindings {
namespace {

// The handler runs on any thread at any time and may take no lock: guards are never freed, only
// emptied and used again, and each is reached by atomic pointers alone.
struct Guard {
  std::atomic<uintptr_t> begin{0}, end{0};  // of whole pages; empty: nobody's
  std::atomic<bool> failed{false};
  std::atomic<Guard*> next{nullptr};
};

std::atomic<Guard*> first_guard{nullptr};
uintptr_t page_bytes = 4096;
struct sigaction handler_before;

std::mutex mutex;  // of all below
std::deque<Guard>& all_guards() {
  static std::deque<Guard>* const guards = new std::deque<Guard>;  // outlives every thread
  return *guards;
}
int64_t in_use = 0;

bool gave_zeros(uintptr_t at) {
  const uintptr_t page = at / page_bytes * page_bytes;
  uintptr_t end = 0;
  for (Guard* g = first_guard.load(); g != nullptr; g = g->next.load()) {
    if (at >= g->begin.load() && at < g->end.load()) end = std::max(end, g->end.load());
  }
  if (end == 0) return false;
  const int before = errno;
  void* const zeros = mmap(reinterpret_cast<void*>(page), end - page, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  errno = before;
  if (zeros == MAP_FAILED) return false;
  for (Guard* g = first_guard.load(); g != nullptr; g = g->next.load())
    if (g->begin.load() < end && g->end.load() > page) g->failed.store(true);
  return true;
}

void on_bus_error(int number, siginfo_t* info, void* context) {
  if (gave_zeros(reinterpret_cast<uintptr_t>(info->si_addr))) return;
  // Not ours: as if this handler were not there.
  if ((handler_before.sa_flags & SA_SIGINFO) != 0) {
    handler_before.sa_sigaction(number, info, context);
  } else if (handler_before.sa_handler != SIG_DFL && handler_before.sa_handler != SIG_IGN) {
    handler_before.sa_handler(number);
  } else {
    signal(SIGBUS, SIG_DFL);  // the read is tried again and ends the process
  }
}

void install() {
  page_bytes = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  struct sigaction ours = {};
  ours.sa_sigaction = on_bus_error;
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&ours.sa_mask);
  sigaction(SIGBUS, &ours, &handler_before);
}

void uninstall() {
  struct sigaction now = {};
  sigaction(SIGBUS, nullptr, &now);
  // Somebody who came later stays, and knows us as the one before.
  if ((now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == on_bus_error)
    sigaction(SIGBUS, &handler_before, nullptr);
}

Guard& guard_of(int64_t number) {
  std::deque<Guard>& guards = all_guards();
  if (number < 0 || static_cast<size_t>(number) >= guards.size() ||
      guards[static_cast<size_t>(number)].end.load() == 0)
    throw std::out_of_range("no such guard of a map");
  return guards[static_cast<size_t>(number)];
}

}  // namespace

int64_t guard_map(uintptr_t address, int64_t bytes) {
  if (bytes < 1) throw std::invalid_argument("guard_map: nothing to guard");
  std::lock_guard<std::mutex> lock(mutex);
  if (in_use++ == 0) install();
  std::deque<Guard>& guards = all_guards();
  size_t number = 0;
  while (number < guards.size() && guards[number].end.load() != 0) ++number;
  const bool fresh = number == guards.size();
  if (fresh) guards.emplace_back();
  Guard& guard = guards[number];
  const uintptr_t end = address + static_cast<uintptr_t>(bytes);
  guard.failed.store(false);
  guard.begin.store(address / page_bytes * page_bytes);
  guard.end.store((end + page_bytes - 1) / page_bytes * page_bytes);
  if (fresh) {
    guard.next.store(first_guard.load());
    first_guard.store(&guard);
  }
  return static_cast<int64_t>(number);
}

bool map_failed(int64_t number) {
  std::lock_guard<std::mutex> lock(mutex);
  return guard_of(number).failed.load();
}

bool release_map(int64_t number) {
  std::lock_guard<std::mutex> lock(mutex);
  Guard& guard = guard_of(number);
  guard.end.store(0);
  guard.begin.store(0);
  if (--in_use == 0) uninstall();
  return guard.failed.load();
}

}  // namespace gtn::bindings
