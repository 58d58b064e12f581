// The same search, widened to this file's instruction set.
#include <immintrin.h>

#include <limits>
#include <type_traits>
#include <utility>

#include "kernels/tree.h"

namespace gtn {
namespace {

#include "kernels/tree.inc"

}  // namespace

extern const TreeSearches kTreeSearchesAvx2 = tree_searches();

}  // namespace gtn
