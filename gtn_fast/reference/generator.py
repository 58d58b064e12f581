"""The source sample N(0, I) by its definition: Philox counters through the inverse normal.

The engine (csrc, normal.h) gives the same bits: each step is one float64 operation, in a
written-out order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gtn_fast.environment import in_default_environment

Float64 = NDArray[np.float64]
UInt64 = NDArray[np.uint64]

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


@in_default_environment
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


@in_default_environment
def words_to_normal(words: UInt64) -> Float64:
    """Return standard normal numbers from 64-bit words, by inversion: float64, same shape.

    The uniform is p = (word >> 11) * 2^-53 + 2^-54. It is never formed, since the
    values next to 1 would round to 1; q = p - 1/2 and the tail ``1/2 - |q|`` are exact::

        q = (double(int64(word >> 11) - 2^52) + 0.5) * 2^-53

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


@in_default_environment
def normal(seed: int, first_row: int, rows: int, cols: int) -> NDArray[np.float32]:
    """Return rows first_row, ... of the N(0, I) sample of ``seed``: float32 (rows, cols).

    Computed in float64 and rounded once. Any range of rows can be made alone.
    """
    blocks = (cols + 3) // 4
    counters = np.arange(first_row * blocks, (first_row + rows) * blocks, dtype=np.uint64)
    values = words_to_normal(philox_words(seed, counters)).astype(np.float32)
    return np.ascontiguousarray(values.reshape(rows, 4 * blocks)[:, :cols])
