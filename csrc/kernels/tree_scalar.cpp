// The contract: vectors that every compiler can lower to what the CPU has.
#include "kernels/tree.h"

namespace gtn {
namespace {

#include "kernels/tree.inc"

}  // namespace

extern const TreeSearch kTreeSearchScalar[kTreeMaxDim + 1] = GTN_TREE_SEARCHES;

}  // namespace gtn
