#include "gtn_fast/list_matcher.h"

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "gtn_fast/block_policy.h"
#include "gtn_fast/environment.h"
#include "strategies/screen/matcher.h"

namespace gtn {
namespace {

// Larger blocks than those of the exact search: so many y's share a list. More of them must be
// searched for again, which costs less here.
constexpr int64_t kBlockShare = 16;
constexpr int kWanted = 6;

}  // namespace

class ListMatcher::Impl {
 public:
  Impl(const MatrixView& x, const MatrixView& y, const Options& options, Control* control)
      : team_(options.threads, control),
        problem_(make_problem(x, y, {}, {}, options, team_, out_)),
        matcher_(problem_, options,
                 BlockPolicy(options.block, options.list_length, kWanted, kBlockShare), team_,
                 out_) {}

  void set_lists(const MatrixView& centres) {
    if (centres.cols != problem_.x.cols)
      throw std::invalid_argument("centres and X differ in columns");
    if (matcher_.blocks().items_free() > 0) matcher_.blocks().use_lists(centres);
  }

  void match_until(int64_t stop, int64_t probed) {
    prepare(probed);
    matcher_.match_until(std::min(stop, problem_.n_y()));
  }

  void try_turns(const uint32_t* turns, int64_t n, int64_t probed, double* cosine) {
    prepare(probed);
    std::fill_n(cosine, n, std::numeric_limits<double>::quiet_NaN());
    ScreenBlocks& blocks = matcher_.blocks();
    if (blocks.items_free() == 0) return;
    blocks.refresh();
    BlockLists lists;
    lists.reset(ScreenBlocks::places(1), static_cast<size_t>(n));
    std::copy_n(turns, n, lists.y_rank.begin());
    blocks.search(lists, 1, 1, true);
    for (size_t i = 0; i < lists.size(); ++i)
      if (lists.state[i].exact > 0) cosine[i] = lists.list(i)[0].cosine;
  }

  int64_t done() const { return matcher_.done(); }
  int64_t free() const { return matcher_.free(); }
  const Assignment& assignment() const { return out_; }
  Report report() const {
    Report report;
    matcher_.report(report);
    return report;
  }

 private:
  void prepare(int64_t probed) {
    if (probed < 1) throw std::invalid_argument("at least one list must be probed");
    Probing* const probing = matcher_.blocks().probing();
    if (probing == nullptr) return;
    probing->drop_empty();
    probing->set_probed(probed);
  }

  Team team_;
  Assignment out_;
  const Problem problem_;
  ScreenMatcher matcher_;
};

ListMatcher::ListMatcher(const MatrixView& x, const MatrixView& y, const Options& options,
                         Control* control) {
  in_default_environment([&] { impl_ = std::make_unique<Impl>(x, y, options, control); });
}
ListMatcher::~ListMatcher() = default;
void ListMatcher::set_lists(const MatrixView& centres) {
  in_default_environment([&] { impl_->set_lists(centres); });
}
void ListMatcher::match_until(int64_t stop, int64_t probed) {
  in_default_environment([&] { impl_->match_until(stop, probed); });
}
void ListMatcher::try_turns(const uint32_t* turns, int64_t n, int64_t probed, double* cosine) {
  in_default_environment([&] { impl_->try_turns(turns, n, probed, cosine); });
}
int64_t ListMatcher::done() const { return impl_->done(); }
int64_t ListMatcher::free() const { return impl_->free(); }
const Assignment& ListMatcher::assignment() const { return impl_->assignment(); }
Report ListMatcher::report() const { return impl_->report(); }

}  // namespace gtn
