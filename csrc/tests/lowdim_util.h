// Cases for the strategies of low dimension, which are called without match().
#pragma once

#include <string>
#include <vector>

#include "tests/test_util.h"

namespace gtn::test {

using Match = void (*)(const Problem&, const Options&, Team&, Report&, Assignment&);

struct LowDimCase {
  Kind kind;
  int64_t n_x, n_y, d;
  bool as_float, zeros;
};

inline Assignment run_strategy(Match match, const Problem& p, const Options& options, Team& team) {
  Report report;
  Assignment out;
  out.x_row.resize(static_cast<size_t>(p.n_y()));
  out.cosine.resize(out.x_row.size());
  match(p, options, team, report, out);
  return out;
}

// With one to three threads, for each of the options, against the brute-force loop;
// before_run(number of the run) comes first.
template <class BeforeRun>
void check_case(Match match, const LowDimCase& c, uint64_t seed,
                const std::vector<Options>& all_options, const BeforeRun& before_run) {
  Matrix x = make_matrix(c.n_x, c.d, c.kind, 0, seed, c.as_float, c.zeros);
  Matrix y = make_matrix(c.n_y, c.d, c.kind, 1, seed, c.as_float, c.zeros);
  Control control;
  Team one(1, &control);
  const Problem p = make_problem(x, y, one);
  const Assignment want = brute_force(p);
  uint64_t run = seed;
  for (const int threads : {1, 2, 3}) {
    Team team(threads, &control);
    for (Options options : all_options) {
      options.threads = threads;
      if (!before_run(++run)) continue;
      const Assignment got = run_strategy(match, p, options, team);
      expect_equal(got, want,
                   std::string(kind_name(c.kind)) + " n_x=" + std::to_string(c.n_x) +
                       " n_y=" + std::to_string(c.n_y) + " d=" + std::to_string(c.d) +
                       " float=" + std::to_string(c.as_float) +
                       " zeros=" + std::to_string(c.zeros) + " threads=" + std::to_string(threads) +
                       " block=" + std::to_string(options.block) +
                       " list=" + std::to_string(options.list_length));
      CHECK_MESSAGE(control.done.load() == c.n_y, "progress ends at n_y");
      control.done = 0;
    }
  }
}

// check(case, seed) of every kind, type and number of rows, in these dimensions.
template <class Check>
void for_cases(const std::vector<int64_t>& dims, uint64_t seed, const Check& check) {
  for (int k = 0; k < static_cast<int>(Kind::kCount); ++k)
    for (const int64_t d : dims)
      for (const bool as_float : {false, true})
        for (const bool zeros : {false, true}) {
          const Kind kind = static_cast<Kind>(k);
          check(LowDimCase{kind, 1, 1, d, as_float, zeros}, ++seed);
          check(LowDimCase{kind, 40, 40, d, as_float, zeros}, ++seed);
          const int64_t n = kReduced ? 250 : 700;
          check(LowDimCase{kind, n, d < 4 ? n : n / 2, d, as_float, zeros}, ++seed);
        }
}

}  // namespace gtn::test
