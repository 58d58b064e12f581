"""The oracle: Algorithm 1 of the GTN paper, short, slow and obviously right.

Every strategy, instruction set and backend answers to this file with ``==``.
It uses NumPy's float64 ``+ - * /`` and ``sqrt`` alone, one operation at a time
in a written-out order, so that C++ compiled without contraction gives the same
bits. The contracts it fixes are those of csrc/include/gtn_fast/direction.h
(arithmetic), order.h (who chooses first) and normal.h (random numbers).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
UInt64 = NDArray[np.uint64]
Progress = Callable[[int, int], None]

LANES = 8

# ---------------------------------------------------------------- arithmetic


def ordered_dot(a: Float64, b: Float64) -> Float64:
    """Return dot products over the last axis, summed in the one fixed order.

    ``a`` and ``b``: float64, shapes (..., d) that broadcast. Eight lanes, each
    summed left to right over its elements j, j + 8, ...; then the tree
    8 -> 4 -> 2 -> 1 (direction.h). Returns float64 (...,).
    """
    product = a * b
    lanes = np.zeros((*product.shape[:-1], LANES))
    for start in range(0, product.shape[-1], LANES):
        chunk = product[..., start : start + LANES]
        lanes[..., : chunk.shape[-1]] += chunk
    s = lanes[..., :4] + lanes[..., 4:]
    t = s[..., :2] + s[..., 2:]
    return np.asarray(t[..., 0] + t[..., 1])


def directions_and_norms(a: NDArray[Any]) -> tuple[Float64, Float64]:
    """Return unit directions (n, d) and norms (n,) of the rows of ``a``, in float64.

    m = max|a_i|, u = a / m, inner = sqrt(u . u), direction = u / inner,
    norm = m * inner. A zero row has direction zero and norm zero.
    """
    values = np.asarray(a, dtype=np.float64)
    m = np.abs(values).max(axis=1)
    u = values / np.where(m == 0.0, 1.0, m)[:, None]
    inner = np.sqrt(ordered_dot(u, u))
    direction = u / np.where(inner == 0.0, 1.0, inner)[:, None]
    with np.errstate(over="ignore"):  # a norm above the float64 range is inf: still an order
        return direction, m * inner


def norm_order(norms: Float64) -> Int64:
    """Order rows by norm ascending, equal norms by row number: int64 (n,), rank -> row."""
    return np.argsort(norms, kind="stable").astype(np.int64)


# ------------------------------------------------------------------ matching


def match(
    x: NDArray[Any], y: NDArray[Any], progress: Progress | None = None
) -> tuple[Int64, Float64, Int64]:
    """Run Algorithm 1: the y's choose in norm order, each the free x of highest cosine.

    ``x`` (n_x, d), ``y`` (n_y, d), n_y <= n_x, finite. Equal cosines go to the x
    of smaller norm, then smaller row number. Returns ``x_index`` (n_y,) int64 and
    ``cosine`` (n_y,) float64 in Y's row order, and ``order`` (n_y,) int64, the rows
    of Y as they chose. O(n_x * n_y * d).
    """
    x_direction, x_norm = directions_and_norms(x)
    y_direction, y_norm = directions_and_norms(y)
    x_by_norm = norm_order(x_norm)
    order = norm_order(y_norm)
    ranked = x_direction[x_by_norm]
    taken = np.zeros(len(ranked), dtype=bool)
    x_index = np.empty(len(order), dtype=np.int64)
    cosine = np.empty(len(order))
    for turn, row in enumerate(order):
        cosines = ordered_dot(ranked, y_direction[row])
        cosines[taken] = -np.inf
        best = int(np.argmax(cosines))  # the first of equals: the smallest norm
        taken[best] = True
        x_index[row] = x_by_norm[best]
        cosine[row] = cosines[best]
        if progress is not None:
            progress(turn + 1, len(order))
    return x_index, cosine, order


def rank(x: NDArray[Any], y: NDArray[Any]) -> tuple[Int64, Float64, Int64]:
    """Label 1-D data as the paper's section 2.1 does: a y gets the x of its quantile.

    ``x`` (n_x, 1), ``y`` (n_y, 1), n_y <= n_x. Both are sorted by value, equal values
    by row number; the y at position i takes the x at position
    floor((i + 1/2) * n_x / n_y), which is i itself when n_x = n_y. Returns what
    ``match`` returns; ``order`` is Y by value.
    """
    x_sorted = np.argsort(x[:, 0], kind="stable").astype(np.int64)
    order = np.argsort(y[:, 0], kind="stable").astype(np.int64)
    n_x, n_y = len(x_sorted), len(order)
    # ((2 i + 1) n_x) // (2 n_y), in Python integers where int64 might overflow.
    position = (2 * np.arange(n_y, dtype=object if n_x > 2**30 else np.int64) + 1) * n_x
    x_index = np.empty(n_y, dtype=np.int64)
    x_index[order] = x_sorted[(position // (2 * n_y)).astype(np.int64)]
    cosine = np.sign(x[x_index, 0].astype(np.float64)) * np.sign(y[:, 0].astype(np.float64))
    return x_index, cosine, order


# ------------------------------------------------------------ normal numbers
#
# Element (row, col) of the sample with a given seed is word w of Philox4x64-10
# with key (seed, 0) and counter (c, 0, 0, 0), where c = row * ceil(d / 4) + col // 4
# and w = col % 4. numpy.random.Philox(key=[seed, 0], counter=c - 1) gives the same
# words (it counts up before its first block).

_PHILOX_M0 = 0xD2E7470EE14C6C93
_PHILOX_M1 = 0xCA5A826395121157
_PHILOX_W0 = 0x9E3779B97F4A7C15
_PHILOX_W1 = 0xBB67AE8584CAA73B
_LOW32 = np.uint64(0xFFFFFFFF)
_S32 = np.uint64(32)


def _multiply(a: int, b: UInt64) -> tuple[UInt64, UInt64]:
    """Return high and low 64 bits of the 128-bit product, from 32-bit halves."""
    a_low, a_high = np.uint64(a & 0xFFFFFFFF), np.uint64(a >> 32)
    b_low, b_high = b & _LOW32, b >> _S32
    low = a_low * b_low
    middle = a_high * b_low + (low >> _S32)  # cannot overflow
    other = a_low * b_high + (middle & _LOW32)  # cannot overflow
    high = a_high * b_high + (middle >> _S32) + (other >> _S32)
    return high, (other << _S32) | (low & _LOW32)


def philox_words(seed: int, counters: UInt64) -> UInt64:
    """Return the words of Philox4x64-10 (Salmon et al. 2011): uint64 (len(counters), 4).

    Key (seed, 0), counter (c, 0, 0, 0) for each c of ``counters`` (uint64).
    """
    zero = np.zeros_like(counters)
    c0, c1, c2, c3 = counters, zero, zero, zero
    for step in range(10):
        k0 = np.uint64((seed + step * _PHILOX_W0) % 2**64)
        k1 = np.uint64((step * _PHILOX_W1) % 2**64)
        high0, low0 = _multiply(_PHILOX_M0, c0)
        high1, low1 = _multiply(_PHILOX_M1, c2)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
    return np.stack([c0, c1, c2, c3], axis=-1)


# AS 241 (Wichura 1988), PPND16: highest power first, for Horner's rule.
_CENTRE_P = (
    2.5090809287301226727e3,
    3.3430575583588128105e4,
    6.7265770927008700853e4,
    4.5921953931549871457e4,
    1.3731693765509461125e4,
    1.9715909503065514427e3,
    1.3314166789178437745e2,
    3.3871328727963666080e0,
)
_CENTRE_Q = (
    5.2264952788528545610e3,
    2.8729085735721942674e4,
    3.9307895800092710610e4,
    2.1213794301586595867e4,
    5.3941960214247511077e3,
    6.8718700749205790830e2,
    4.2313330701600911252e1,
    1.0,
)
_TAIL_P = (
    7.74545014278341407640e-4,
    2.27238449892691845833e-2,
    2.41780725177450611770e-1,
    1.27045825245236838258e0,
    3.64784832476320460504e0,
    5.76949722146069140550e0,
    4.63033784615654529590e0,
    1.42343711074968357734e0,
)
_TAIL_Q = (
    1.05075007164441684324e-9,
    5.47593808499534494600e-4,
    1.51986665636164571966e-2,
    1.48103976427480074590e-1,
    6.89767334985100004550e-1,
    1.67638483018380384940e0,
    2.05319162663775882187e0,
    1.0,
)
_FAR_P = (
    2.01033439929228813265e-7,
    2.71155556874348757815e-5,
    1.24266094738807843860e-3,
    2.65321895265761230930e-2,
    2.96560571828504891230e-1,
    1.78482653991729133580e0,
    5.46378491116411436990e0,
    6.65790464350110377720e0,
)
_FAR_Q = (
    2.04426310338993978564e-15,
    1.42151175831644588870e-7,
    1.84631831751005468180e-5,
    7.86869131145613259100e-4,
    1.48753612908506148525e-2,
    1.36929880922735805310e-1,
    5.99832206555887937690e-1,
    1.0,
)
_LN2 = 0.6931471805599453
_SQRT2 = 1.4142135623730951
_LOG_TERMS = 10  # log m = 2 f (1 + f^2/3 + f^4/5 + ... + f^20/21), |f| < 0.172


def _horner(coefficients: tuple[float, ...], r: Float64) -> Float64:
    """Evaluate ((c0 * r + c1) * r + c2) ...: one product, one sum, left to right."""
    value = np.full_like(r, coefficients[0])
    for coefficient in coefficients[1:]:
        value = value * r + coefficient
    return value


def log_fixed(t: Float64) -> Float64:
    """Return the natural logarithm of positive normal float64 values from + - * / alone.

    t = m * 2^e with m in [1, 2) from the bits; where m > sqrt 2: m = m * 0.5,
    e = e + 1. f = (m - 1) / (m + 1), g = f * f,
    series = Horner in g of (1/21, 1/19, ..., 1/3, 1), log t = e * ln 2 + (f + f) * series.
    """
    bits = t.view(np.uint64)
    exponent = ((bits >> np.uint64(52)).astype(np.int64) - 1023).astype(np.float64)
    mantissa_bits = (bits & np.uint64(0xFFFFFFFFFFFFF)) | np.uint64(1023 << 52)
    m = mantissa_bits.view(np.float64)
    large = m > _SQRT2
    m = np.where(large, m * 0.5, m)
    exponent = np.where(large, exponent + 1.0, exponent)
    f = (m - 1.0) / (m + 1.0)
    odd = tuple(1.0 / (2.0 * k + 1.0) for k in range(_LOG_TERMS, -1, -1))
    return np.asarray(exponent * _LN2 + (f + f) * _horner(odd, f * f))


def words_to_normal(words: UInt64) -> Float64:
    """Return standard normal numbers from 64-bit words, by inversion: float64, same shape.

    The uniform is p = (word >> 11) * 2^-53 + 2^-54. It is never formed, since the
    values next to 1 would round to 1; q = p - 1/2 and the tail 1/2 - |q| are exact:
    q = (double(int64(word >> 11) - 2^52) + 0.5) * 2^-53.

    |q| <= 0.425:  r = 0.180625 - q * q,               value = q * P(r) / Q(r)
    otherwise:     r = sqrt(-log_fixed(0.5 - |q|)),
        r <= 5:    r = r - 1.6,  magnitude = P(r) / Q(r)  (tail coefficients)
        r > 5:     r = r - 5,    magnitude = P(r) / Q(r)  (far coefficients)
        value = -magnitude where q < 0, else magnitude
    """
    centred = (words >> np.uint64(11)).astype(np.int64) - 2**52
    q = (centred.astype(np.float64) + 0.5) * 2.0**-53
    r = 0.180625 - q * q
    centre = q * _horner(_CENTRE_P, r) / _horner(_CENTRE_Q, r)

    size = np.abs(q)
    r = np.sqrt(-log_fixed(0.5 - size))
    near = r - 1.6
    far = r - 5.0
    magnitude = np.where(
        r <= 5.0,
        _horner(_TAIL_P, near) / _horner(_TAIL_Q, near),
        _horner(_FAR_P, far) / _horner(_FAR_Q, far),
    )
    return np.where(size <= 0.425, centre, np.where(q < 0.0, -magnitude, magnitude))


def normal(seed: int, first_row: int, rows: int, cols: int) -> NDArray[np.float32]:
    """Return rows first_row, ... of the N(0, I) sample of ``seed``: float32 (rows, cols).

    Computed in float64 and rounded once. Any range of rows can be made alone.
    """
    blocks = (cols + 3) // 4
    counters = np.arange(first_row * blocks, (first_row + rows) * blocks, dtype=np.uint64)
    values = words_to_normal(philox_words(seed, counters)).astype(np.float32)
    return np.ascontiguousarray(values.reshape(rows, 4 * blocks)[:, :cols])
