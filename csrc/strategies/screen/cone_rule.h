// Whether a layout with cones is quicker than an even one: from what cones leave on a sample.
#pragma once

#include <cstdint>

#include "strategies/screen/floor.h"
#include "strategies/screen/search_inputs.h"

namespace gtn {

class ConeRule {
 public:
  ConeRule(const SearchInputs& in, UseCones use);

  // Whether the free x's should be laid out for cones now.
  bool asks_for_cones(const Floor& floor, int64_t free, Team& team);
  bool ruled_out() const { return ruled_out_; }

 private:
  // Shares of the groups of columns, and of the groups of cones, that a y is compared with.
  struct Left {
    double columns, cones;
  };
  bool pays(const Floor& floor, int64_t free, Team& team) const;
  Left sample(const Floor& floor, int64_t size, Team& team) const;

  const SearchInputs in_;
  const UseCones use_;
  bool ruled_out_ = false;
};

}  // namespace gtn
