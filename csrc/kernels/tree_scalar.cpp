// The contract: vectors that every compiler can lower to what the CPU has.
#include <limits>
#include <type_traits>
#include <utility>

#include "kernels/tree.h"

namespace gtn {
namespace {

#include "kernels/tree.inc"

}  // namespace

extern const TreeSearches kTreeSearchesScalar = tree_searches();

}  // namespace gtn
