// AVX-512 with VNNI: vpdpbusd adds 64 products of 8-bit codes an instruction.
#include <immintrin.h>

#include <cstring>
#include <type_traits>
#include <utility>

#include "kernels/kernels.h"

namespace gtn {
namespace {

#include "kernels/portable.inc"
#include "kernels/vnni512.inc"

constexpr int kXMax = 127, kYMax = 127;

#include "kernels/screen512.inc"
#include "kernels/sift512.inc"

}  // namespace

extern const Kernels kKernelsAvx512Vnni = {
    .x_max = kXMax,
    .y_max = kYMax,
    .tile_y = 6,
    .panel_bytes = 48 * 1024,
    .sift_cost = 1.4,
    GTN_PORTABLE_KERNELS,
    .ordered_dot_group = dot_group512,
    .screen = screen512,
    .sift = sift512,
};

}  // namespace gtn
