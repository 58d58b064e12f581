"""What runs on the device.

Screening: ``group_maxima`` and ``survivors`` multiply a tile of y's with tiles of x's on the
tensor cores (fp16 in, fp32 sums) and reduce the scores on chip: to maxima of groups of
columns, or, in the few groups that can matter to a row, to what reaches the row's threshold.
Scores never reach global memory.

Deciding: ``row_scales`` and ``exact_cosines`` are the float64 arithmetic of
csrc/include/gtn_fast/direction.h, operation by operation. They are right only if nothing
is contracted to a fused multiply-add: launch.py compiles them with enable_fp_fusion=False,
and a test reads the PTX.

Buffers of codes are padded to whole tiles, with offsets of -inf and thresholds of +inf, so
that no load of codes needs a mask.
"""
# mypy: allow-untyped-decorators, allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

import triton
import triton.language as tl

NO_COL = tl.constexpr(2**31 - 1)


@triton.jit
def _tile_scores(
    y,
    y_rows,
    x_cols,
    steps,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
    RESIDENT: tl.constexpr,
):
    """Return the scores (BM, BN) of a tile: the whole dimension at once, or BK at a time."""
    k = tl.arange(0, BK)
    if RESIDENT:
        x = tl.load(x_cols + k[None, :])
        scores = tl.dot(y, tl.trans(x))
    else:
        scores = tl.zeros((BM, BN), dtype=tl.float32)
        for step in range(steps):
            y_part = tl.load(y_rows + step * BK + k[None, :])
            x_part = tl.load(x_cols + step * BK + k[None, :])
            scores = tl.dot(y_part, tl.trans(x_part), scores)
    return scores


@triton.jit(do_not_specialize=["n_tiles", "tiles", "steps", "n_rows"])
def group_maxima(
    y_ptr,
    x_ptr,
    offset_ptr,
    out_ptr,
    n_tiles,
    tiles,
    steps,
    stride,
    n_rows,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
    PER: tl.constexpr,
    RESIDENT: tl.constexpr,
):
    """Set out[g, row] to the max of score + offset over the PER tiles of columns from g * PER on.

    A program takes ``tiles`` tiles, a multiple of PER. The loop has no branches and keeps
    nothing of a tile but the maximum: this is where the time goes.
    """
    rows = tl.program_id(0) * BM + tl.arange(0, BM)
    y_rows = y_ptr + rows[:, None].to(tl.int64) * stride
    k = tl.arange(0, BK)
    y = tl.load(y_rows + k[None, :])
    first = tl.program_id(1) * tiles
    last = tl.minimum(first + tiles, n_tiles)
    wide = n_rows.to(tl.int64)
    best = tl.full((BM,), float("-inf"), dtype=tl.float32)
    for tile in range(first, last):
        cols = tile * BN + tl.arange(0, BN)
        x_cols = x_ptr + cols[:, None].to(tl.int64) * stride
        scores = _tile_scores(y, y_rows, x_cols, steps, BM, BN, BK, RESIDENT)
        value = scores + tl.load(offset_ptr + cols)[None, :]
        here = tl.max(value, axis=1)
        best = tl.where(tile % PER == 0, here, tl.maximum(best, here))
        ends = (tile % PER == PER - 1) | (tile == last - 1)
        tl.store(out_ptr + (tile // PER) * wide + rows, best, mask=(rows >= 0) & ends)


@triton.jit(do_not_specialize=["n_tiles", "steps", "capacity", "first_col"])
def survivors(
    y_ptr,
    x_ptr,
    offset_ptr,
    threshold_ptr,
    start_ptr,
    row_ptr,
    count_ptr,
    col_ptr,
    value_ptr,
    n_tiles,
    steps,
    stride,
    capacity,
    first_col,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
    PER: tl.constexpr,
    RESIDENT: tl.constexpr,
):
    """Append (column, value) of every value = score + offset >= its row's threshold.

    Rows row[start[g]] .. row[start[g + 1] - 1] look into the columns of group g. A row has
    ``capacity`` places. count[row] counts all columns that passed, also those that found no
    place: it says how many places the row needs.
    """
    group = tl.program_id(0)
    begin = tl.load(start_ptr + group) + tl.program_id(1) * BM
    end = tl.load(start_ptr + group + 1)
    if begin < end:
        at = begin + tl.arange(0, BM)
        there = at < end
        rows = tl.load(row_ptr + at, mask=there, other=0)
        threshold = tl.load(threshold_ptr + rows, mask=there, other=float("inf"))
        y_rows = y_ptr + rows[:, None] * stride
        k = tl.arange(0, BK)
        y = tl.load(y_rows + k[None, :])
        first = group * PER
        last = tl.minimum(first + PER, n_tiles)
        for tile in range(first, last):
            cols = tile * BN + tl.arange(0, BN)
            x_cols = x_ptr + cols[:, None].to(tl.int64) * stride
            scores = _tile_scores(y, y_rows, x_cols, steps, BM, BN, BK, RESIDENT)
            value = scores + tl.load(offset_ptr + cols)[None, :]
            # The best of every row goes out, and the next best, until no row has one that
            # reaches its threshold: all of a tile at once would need too many registers.
            best = tl.max(value, axis=1)
            going = tl.max((best >= threshold).to(tl.int32), axis=0)
            while going > 0:
                place = tl.min(tl.where(value == best[:, None], cols[None, :], NO_COL), axis=1)
                reached = best >= threshold
                nth = tl.atomic_add(count_ptr + rows, 1, mask=reached, sem="relaxed")
                kept = reached & (nth < capacity)
                slot = rows * capacity + nth
                tl.store(col_ptr + slot, first_col + place, mask=kept)
                tl.store(value_ptr + slot, best, mask=kept)
                value = tl.where(cols[None, :] == place[:, None], float("-inf"), value)
                best = tl.max(value, axis=1)
                going = tl.max((best >= threshold).to(tl.int32), axis=0)


@triton.jit
def _halves(lanes, ROWS: tl.constexpr, HALF: tl.constexpr):
    """Return lanes[:, j] + lanes[:, j + HALF], j < HALF: one addition each, no reduction."""
    low, high = tl.split(tl.permute(tl.reshape(lanes, (ROWS, 2, HALF)), (0, 2, 1)))
    return low + high


@triton.jit
def _lane_sum(lanes, ROWS: tl.constexpr):
    """Add eight lanes to one sum, 8 -> 4 -> 2 -> 1, as direction.h says."""
    pairs = _halves(_halves(lanes, ROWS, 4), ROWS, 2)
    left, right = tl.split(pairs)
    return left + right


@triton.jit(do_not_specialize=["n", "d"])
def row_scales(x_ptr, max_ptr, inner_ptr, n, d, stride, ROWS: tl.constexpr):
    """Scale rows: m = max |x_i|, n = sqrt(u . u) with u = x / m; both 0 for a zero row."""
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    there = rows < n
    lane = tl.arange(0, 8)
    base = x_ptr + rows[:, None] * stride
    largest = tl.zeros((ROWS, 8), dtype=tl.float64)
    for start in range(0, d, 8):
        inside = there[:, None] & (start + lane < d)[None, :]
        value = tl.load(base + start + lane[None, :], mask=inside, other=0.0).to(tl.float64)
        largest = tl.maximum(largest, tl.abs(value))
    m = tl.max(largest, axis=1)
    divisor = tl.where(m == 0.0, 1.0, m)
    lanes = tl.zeros((ROWS, 8), dtype=tl.float64)
    for start in range(0, d, 8):
        inside = there[:, None] & (start + lane < d)[None, :]
        value = tl.load(base + start + lane[None, :], mask=inside, other=0.0).to(tl.float64)
        u = value / divisor[:, None]
        lanes = lanes + u * u
    inner = tl.sqrt(_lane_sum(lanes, ROWS))
    tl.store(max_ptr + rows, m, mask=there)
    tl.store(inner_ptr + rows, inner, mask=there)


@triton.jit(do_not_specialize=["n_pairs", "places", "d"])
def exact_cosines(
    x_ptr,
    x_max_ptr,
    x_inner_ptr,
    y_ptr,
    y_max_ptr,
    y_inner_ptr,
    list_ptr,
    out_ptr,
    n_pairs,
    places,
    d,
    x_stride,
    y_stride,
    PAIRS: tl.constexpr,
):
    """Set out[i, j] to ordered_dot of the directions of y's row i and x's row list[i, j], float64.

    Lists of ``places``, n_pairs in all; -inf where list[i, j] is -1.
    """
    pairs = tl.program_id(0).to(tl.int64) * PAIRS + tl.arange(0, PAIRS)
    inside = pairs < n_pairs
    listed = tl.load(list_ptr + pairs, mask=inside, other=-1)
    there = listed >= 0
    x_row = tl.where(there, listed, 0)
    y_row = tl.where(there, pairs // places, 0)
    x_max = tl.load(x_max_ptr + x_row)
    y_max = tl.load(y_max_ptr + y_row)
    x_inner = tl.load(x_inner_ptr + x_row)
    y_inner = tl.load(y_inner_ptr + y_row)
    # A zero row stays zero whatever it is divided by.
    x_max = tl.where(x_max == 0.0, 1.0, x_max)
    y_max = tl.where(y_max == 0.0, 1.0, y_max)
    x_inner = tl.where(x_inner == 0.0, 1.0, x_inner)
    y_inner = tl.where(y_inner == 0.0, 1.0, y_inner)
    lane = tl.arange(0, 8)
    x_base = x_ptr + x_row[:, None] * x_stride
    y_base = y_ptr + y_row[:, None] * y_stride
    lanes = tl.zeros((PAIRS, 8), dtype=tl.float64)
    for start in range(0, d, 8):
        part = there[:, None] & (start + lane < d)[None, :]
        x = tl.load(x_base + start + lane[None, :], mask=part, other=0.0).to(tl.float64)
        y = tl.load(y_base + start + lane[None, :], mask=part, other=0.0).to(tl.float64)
        x = (x / x_max[:, None]) / x_inner[:, None]
        y = (y / y_max[:, None]) / y_inner[:, None]
        lanes = lanes + y * x
    cosine = tl.where(there, _lane_sum(lanes, PAIRS), float("-inf"))
    tl.store(out_ptr + pairs, cosine, mask=inside)
