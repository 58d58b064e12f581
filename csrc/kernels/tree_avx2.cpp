// The same search, widened to this file's instruction set.
#include <immintrin.h>

#include "kernels/tree.h"

namespace gtn {
namespace {

#include "kernels/tree.inc"

}  // namespace

extern const TreeSearch kTreeSearchAvx2[kTreeMaxDim + 1] = GTN_TREE_SEARCHES;

}  // namespace gtn
