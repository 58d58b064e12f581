// Team: every index once, exceptions and cancellation reach the caller, and the
// team serves on afterwards; match() cancelled in its middle.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>

#include "tests/test_util.h"

namespace gtn::test {
namespace {

struct WorkerError : std::runtime_error {
  explicit WorkerError(int t) : std::runtime_error("worker " + std::to_string(t)), thread(t) {}
  int thread;
};

TEST_CASE("team: every body once, ordered before the return") {
  for (const int threads : {-1, 0, 1, 2, 3, 5, 9}) {
    Team team(threads);
    CHECK_MESSAGE(team.size() == std::max(1, threads), "threads=", threads);
    std::vector<int> calls(static_cast<size_t>(team.size()), 0);
    const std::thread::id caller = std::this_thread::get_id();
    bool caller_is_0 = false;
    // Plain ints: run() orders its bodies before its return, or a sanitizer objects.
    const int rounds = kReduced ? 300 : 3000;
    for (int round = 0; round < rounds; ++round) {
      team.run([&](int t) {
        ++calls[static_cast<size_t>(t)];
        if (t == 0) caller_is_0 = std::this_thread::get_id() == caller;
      });
      // Long enough for the workers to fall asleep now and then.
      if (round % 100 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    for (const int n : calls) CHECK_MESSAGE(n == rounds, "threads=", threads, ": ", n, " calls");
    CHECK_MESSAGE(caller_is_0, "threads=", threads, ": the caller is thread 0");
  }
}

TEST_CASE("team: never more threads than a few for each CPU") {
  const int cpus = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  const int most = std::max(16, 4 * cpus);
  CHECK(Team(16).size() == 16);
  CHECK(Team(most).size() == most);
  CHECK(Team(most + 1).size() == most);
  Team team(4096);
  CHECK(team.size() == most);
  std::atomic<int> ran{0};
  team.run([&](int) { ++ran; });
  CHECK(ran == most);
}

// Two only, without a pause: the caller often sees the last body end before that thread has told
// it so. What the bodies wrote must be there all the same.
TEST_CASE("team: what a body wrote is there when run() returns") {
  Team team(2);
  int64_t written[2] = {}, wrong = 0;
  constexpr int64_t rounds = 20'000;
  for (int64_t round = 1; round <= rounds; ++round) {
    team.run([&](int t) { ++written[t]; });
    wrong += written[0] != round || written[1] != round;
  }
  CHECK(wrong == 0);
}

void check_chunks(Team& team, int64_t n, int64_t grain) {
  std::vector<int> seen(static_cast<size_t>(n), 0);
  std::atomic<int> wrong{0};
  team.for_chunks(n, grain, [&](int64_t begin, int64_t end, int thread) {
    if (begin < 0 || begin >= end || end > n || end - begin > std::max<int64_t>(1, grain) ||
        thread < 0 || thread >= team.size())
      ++wrong;
    for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
  });
  CHECK_MESSAGE(wrong == 0, "n=", n, " grain=", grain, ": bad chunk");
  for (const int count : seen)
    if (count != 1) {
      FAIL_CHECK("n=", n, " grain=", grain, " threads=", team.size(), ": an index ", count,
                 " times");
      return;
    }
}

TEST_CASE("team: every index in one chunk") {
  for (const int threads : {1, 2, 3, 5}) {
    Team team(threads);
    for (const int64_t n : {0, 1, 2, 63, 64, 65, 1000, 20000})
      for (const int64_t grain : {int64_t{-1}, int64_t{0}, int64_t{1}, int64_t{7}, int64_t{64}, n,
                                  n + 1, int64_t{1} << 62})
        check_chunks(team, n, grain);
  }
}

// A worker may have a team of its own.
TEST_CASE("team: of a worker") {
  for (const int inner : {1, 2, 3}) {
    Team outer(3);
    std::vector<int64_t> sum(3, 0);
    outer.run([&](int t) {
      Team team(inner);
      std::atomic<int64_t> total{0};
      team.for_chunks(1000, 10, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) total += i;
      });
      sum[static_cast<size_t>(t)] = total;
    });
    for (const int64_t s : sum) CHECK_MESSAGE(s == 499500, "inner=", inner);
  }
}

TEST_CASE("team: exceptions reach the caller, the team serves on") {
  for (const int threads : {1, 2, 4}) {
    Team team(threads);
    for (int round = 0; round < 50; ++round)
      for (int bad = 0; bad < threads; ++bad) {
        int caught = -1;
        std::atomic<int> ran{0};
        try {
          team.run([&](int t) {
            ++ran;
            if (t == bad) throw WorkerError(t);
          });
        } catch (const WorkerError& error) {
          caught = error.thread;
        }
        CHECK_MESSAGE(caught == bad, "threads=", threads, ": caught ", caught, ", thrown by ", bad);
        CHECK_MESSAGE(ran == threads, "threads=", threads, ": all bodies run");
      }
    int caught = 0;
    try {
      team.run([](int t) { throw WorkerError(t); });
    } catch (const WorkerError&) {
      ++caught;
    }
    CHECK_MESSAGE(caught == 1, "threads=", threads, ": one of many");
    std::atomic<int64_t> chunks{0};
    constexpr int64_t kChunks = 100000;
    try {
      team.for_chunks(kChunks, 1, [&](int64_t begin, int64_t, int thread) {
        ++chunks;
        if (begin == 10) throw WorkerError(thread);
      });
    } catch (const WorkerError&) {
      ++caught;
    }
    CHECK_MESSAGE(caught == 2, "threads=", threads, ": out of for_chunks");
    // Not deterministic with several threads, but all chunks would mean nobody stopped.
    CHECK_MESSAGE((threads > 1 ? chunks < kChunks : chunks == 11), "threads=", threads, ": ",
                  chunks.load(), " chunks");
    check_chunks(team, 1000, 3);  // the team is as good as new
  }
}

// A team of one works in the thread that watches it, which looks around at every check().
TEST_CASE("team: check() polls") {
  Control control;
  int polled = 0;
  control.poll = [&] {
    if (++polled == 5) throw WorkerError(0);
  };
  Team team(1, &control);
  int caught = 0;
  int64_t chunks = 0;
  try {
    team.for_chunks(100, 1, [&](int64_t, int64_t, int) { ++chunks; });
  } catch (const WorkerError&) {
    ++caught;
  }
  CHECK(caught == 1);
  CHECK(chunks == 4);
  control.cancel = true;  // comes first
  CHECK_THROWS_AS(team.check(), Cancelled);
  CHECK(polled == 5);
}

TEST_CASE("team: cancellation reaches the caller") {
  for (const int threads : {1, 3}) {
    Control control;
    Team team(threads, &control);
    team.check();
    std::atomic<int64_t> chunks{0};
    std::thread watcher([&] {
      while (chunks < 5) std::this_thread::yield();
      control.cancel = true;
    });
    bool cancelled = false;
    try {
      // Ends by cancellation only, or after an hour.
      team.for_chunks(int64_t{3600} * 1000, 1, [&](int64_t, int64_t, int) {
        ++chunks;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      });
    } catch (const Cancelled&) {
      cancelled = true;
    }
    watcher.join();
    CHECK_MESSAGE(cancelled, "threads=", threads);
    cancelled = false;
    try {
      team.check();
    } catch (const Cancelled&) {
      cancelled = true;
    }
    CHECK_MESSAGE(cancelled, "threads=", threads, ": check()");
    control.cancel = false;
    check_chunks(team, 1000, 3);
  }
}

// What was settled before the cancellation is the answer's beginning, and the rows that it
// left, matched alone, are the rest.
void test_settled_prefix(Matrix& x, Matrix& y, const Options& options, const Assignment& settled,
                         size_t n) {
  Control control;
  Report report;
  Assignment whole, rest;
  match(x.view(), y.view(), {}, {}, options, control, whole, report);
  const auto begins_with = [n](const auto& a, const auto& b) {
    return std::equal(b.begin(), b.begin() + static_cast<int64_t>(n), a.begin());
  };
  CHECK_MESSAGE((n > 0 && begins_with(whole.y_row, settled.y_row)), "rows of Y");
  CHECK_MESSAGE(begins_with(whole.x_row, settled.x_row), "rows of X");
  CHECK_MESSAGE(begins_with(whole.cosine, settled.cosine), "cosines");
  const auto left = [n](int64_t rows, const std::vector<uint32_t>& taken) {
    std::vector<uint8_t> gone(static_cast<size_t>(rows));
    for (size_t i = 0; i < n; ++i) gone[taken[i]] = 1;
    std::vector<uint32_t> out;
    for (uint32_t r = 0; r < rows; ++r)
      if (!gone[r]) out.push_back(r);
    return out;
  };
  const std::vector<uint32_t> x_left = left(x.view().rows, settled.x_row);
  const std::vector<uint32_t> y_left = left(y.view().rows, settled.y_row);
  Control again;
  match(x.view(), y.view(), {x_left.data(), static_cast<int64_t>(x_left.size())},
        {y_left.data(), static_cast<int64_t>(y_left.size())}, options, again, rest, report);
  CHECK_MESSAGE(std::equal(rest.x_row.begin(), rest.x_row.end(), whole.x_row.end() - again.settled),
                "the rest matched alone");
  CHECK_MESSAGE(static_cast<size_t>(again.settled) + n == whole.x_row.size(), "all are matched");
}

// Cancelled once it has settled some y's: the sets are so large that it cannot
// have ended by then. Of the blocks of a given size it ends the one it is in, at most.
void test_cancelled_match(Strategy strategy, int64_t n, int64_t d, int threads, int64_t block) {
  Matrix x = make_matrix(n, d, Kind::kGaussian, 0, 5, true);
  Matrix y = make_matrix(n, d, Kind::kGaussian, 1, 5, true);
  Options options;
  options.strategy = strategy;
  options.threads = threads;
  options.block = block;
  Control control;
  Assignment cut_short;
  Report report;
  std::atomic<bool> returned{false};
  int64_t when_asked = 0;
  std::thread watcher([&] {
    while (control.done == 0 && !returned) std::this_thread::yield();
    control.cancel = true;
    when_asked = control.done;
  });
  bool cancelled = false;
  try {
    match(x.view(), y.view(), {}, {}, options, control, cut_short, report);
  } catch (const Cancelled&) {
    cancelled = true;
  }
  returned = true;
  watcher.join();
  const int which = static_cast<int>(strategy);
  CHECK_MESSAGE(cancelled, "strategy ", which, ", ", threads, " threads");
  CHECK_MESSAGE((control.done > 0 && control.done < n), "strategy ", which, " stopped at ",
                control.done.load());
  if (block > 0)
    CHECK_MESSAGE(control.done - when_asked <= block, "strategy ", which, " went on from ",
                  when_asked, " to ", control.done.load());
  test_settled_prefix(x, y, options, cut_short, static_cast<size_t>(control.settled.load()));
}

// A control that says so from the start stops every strategy, and the process
// goes on to match correctly.
void test_refused_match(Strategy strategy, int64_t d) {
  const int64_t n = 500;
  Matrix x = make_matrix(n, d, Kind::kGaussian, 0, 6);
  Matrix y = make_matrix(n, d, Kind::kGaussian, 1, 6);
  Team team(2);
  const Assignment want = brute_force(make_problem(x, y, team));
  for (const int threads : {1, 2}) {
    Options options;
    options.strategy = strategy;
    options.threads = threads;
    Control control;
    control.cancel = true;
    bool cancelled = false;
    Report report;
    Assignment got;
    try {
      match(x.view(), y.view(), {}, {}, options, control, got, report);
    } catch (const Cancelled&) {
      cancelled = true;
    }
    CHECK_MESSAGE(cancelled, "strategy ", static_cast<int>(strategy));
    control.cancel = false;
    control.done = 0;
    match(x.view(), y.view(), {}, {}, options, control, got, report);
    expect_equal(got, want, "after a cancelled match");
    CHECK_MESSAGE(control.done == n, "strategy ", static_cast<int>(strategy),
                  ": progress ends at n");
  }
}

}  // namespace

// Plain numbers, written before they are settled and read once that was seen: if settle() did
// not order the two, a sanitizer objects.
TEST_CASE("team: what is settled may be read by another thread") {
  constexpr int64_t n = kReduced ? 20'000 : 1'000'000;
  Control control;
  const Team team(1, &control);
  std::vector<int64_t> written(static_cast<size_t>(n), -1);
  int64_t wrong = 0;
  std::thread reader([&] {
    for (int64_t seen = 0; seen < n;) {
      const int64_t end = control.settled.load(std::memory_order_acquire);
      for (; seen < end; ++seen) wrong += written[static_cast<size_t>(seen)] != seen;
    }
  });
  for (int64_t i = 0; i < n; ++i) {
    written[static_cast<size_t>(i)] = i;
    team.settle(i + 1);
  }
  reader.join();
  CHECK(wrong == 0);
  CHECK(control.done == n);
}

// The same of every strategy that settles while it goes on.
TEST_CASE("match: settled pairs may be read while it goes on") {
  for (const auto& [strategy, d] :
       {std::pair{Strategy::kRay, 1}, std::pair{Strategy::kCircle, 2},
        std::pair{Strategy::kTree, 4}, std::pair{Strategy::kScreen, 24}}) {
    const int64_t n = kReduced ? 1500 : 4000;
    Matrix x = make_matrix(n, d, Kind::kGaussian, 0, 6, true);
    Matrix y = make_matrix(n, d, Kind::kGaussian, 1, 6, true);
    Options options;
    options.strategy = strategy;
    options.threads = 2;
    options.block = 64;
    Control control;
    Assignment out;
    Report report;
    std::vector<uint32_t> read;
    std::thread reader([&] {
      while (static_cast<int64_t>(read.size()) < n) {
        const size_t end = static_cast<size_t>(control.settled.load(std::memory_order_acquire));
        if (read.size() == end) std::this_thread::yield();
        while (read.size() < end) read.push_back(out.x_row[read.size()]);
      }
    });
    match(x.view(), y.view(), {}, {}, options, control, out, report);
    reader.join();
    CHECK_MESSAGE(read == out.x_row, "strategy ", static_cast<int>(options.strategy));
  }
}

TEST_CASE("match: cancelled in its middle, what is settled is the answer's beginning") {
  for (const int threads : {1, 3}) {
    const int64_t block = threads == 1 ? 0 : 256;  // 0: as large as the strategy likes
    test_cancelled_match(Strategy::kScreen, kReduced ? 8000 : 30000, 64, threads, block);
    test_cancelled_match(Strategy::kTree, kReduced ? 20000 : 200000, 5, threads, block);
  }
}

TEST_CASE("match: cancelled before it starts") {
  test_refused_match(Strategy::kRay, 1);
  test_refused_match(Strategy::kCircle, 2);
  test_refused_match(Strategy::kTree, 4);
  test_refused_match(Strategy::kScreen, 40);
}

}  // namespace gtn::test
