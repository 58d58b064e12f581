// How codes lie in memory: so that the tensor cores read them as they are, and so that what a
// kernel loads at once is one piece.
//
// 128 rows are a tile. A tile holds its dimensions in parts of 64 (the last may be smaller). A
// part holds panels of 8 rows, a panel its dimensions in chunks of 8: 8 rows x 16 bytes, one
// "core matrix" of the tensor cores.
//
//   [tile][part][panel of 8 rows][chunk of 8 dimensions][row][dimension]   fp16
#pragma once

#include <cstdint>

#include "cuda/portable.h"

namespace gtn::cuda {

constexpr int kTile = 128;  // rows of a tile
constexpr int kPart = 64;   // dimensions of a part
constexpr int kChunk = 8;   // dimensions of a chunk, 16 bytes
constexpr int kBlockRows =
    256;  // y's of one program of the screen, and what blocks are multiples of
constexpr int kLargestDimension = 512;

GTN_BOTH int64_t tile_bytes(int padded) { return int64_t{2} * kTile * padded; }

// Where chunk `chunk` of row `row` begins, in bytes.
GTN_BOTH int64_t chunk_offset(int64_t row, int chunk, int padded) {
  const int part = chunk / (kPart / kChunk);
  const int rest = padded - part * kPart;
  const int width = rest < kPart ? rest : kPart;
  const int64_t in_tile = row % kTile;
  return row / kTile * tile_bytes(padded) + int64_t{2} * kTile * kPart * part +
         in_tile / 8 * (16 * width) + (chunk % (kPart / kChunk)) * 128 + in_tile % 8 * 16;
}

}  // namespace gtn::cuda
