// The screening strategy, for any d, in one process.
#include "gtn_fast/block_policy.h"
#include "gtn_fast/match.h"
#include "strategies/screen/matcher.h"

namespace gtn {
namespace {

// A block is at most the free x's / kScreenShare. With larger ones, as for lists made elsewhere,
// more y's must be searched for again: 1 to 2 % of the time.
constexpr int64_t kScreenShare = 64;
constexpr int kFirstWanted = 4;  // candidates per list to start with

}  // namespace

void match_screen(const Problem& problem, const Options& options, Team& team, Report& report,
                  Assignment& out) {
  const BlockPolicy policy(options.block, options.list_length, kFirstWanted, kScreenShare);
  ScreenMatcher matcher(problem, options, policy, team, out);
  matcher.match_until(problem.n_y());
  matcher.report(report);
}

}  // namespace gtn
