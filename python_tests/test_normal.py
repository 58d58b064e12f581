"""Counter-based normal numbers: words, inversion, ranges, and the engine's bits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

import gtn_fast
from gtn_fast.reference import log_fixed, normal, philox_words, words_to_normal

SEEDS = [0, 1, 42, 2**63, 2**64 - 1]
WORDS = np.concatenate(
    [
        np.random.default_rng(1).integers(0, 2**64, 100_000, dtype=np.uint64),
        np.array([0, 1, 2**11, 2**63 - 1, 2**63, 2**64 - 1], dtype=np.uint64),
        np.uint64(2) ** np.arange(64, dtype=np.uint64),
    ]
)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("counter", [0, 1, 1000, 2**32 - 1, 2**40])
def test_words_are_numpys_philox(seed, counter):
    key = np.array([seed, 0], dtype=np.uint64)
    theirs = np.random.Philox(key=key, counter=(counter - 1) % 2**256).random_raw(8)
    ours = philox_words(seed, np.array([counter, counter + 1], dtype=np.uint64))
    assert (ours.ravel() == theirs).all()


def test_log_is_accurate():
    t = np.concatenate([2.0 ** -np.arange(1, 55), np.random.default_rng(0).random(10_000)])
    np.testing.assert_allclose(log_fixed(t), np.log(t), rtol=1e-15)


def test_inversion_is_accurate_and_symmetric():
    z = words_to_normal(WORDS)
    p = (WORDS >> np.uint64(11)).astype(np.float64) * 2.0**-53 + 2.0**-54
    q = (~WORDS >> np.uint64(11)).astype(np.float64) * 2.0**-53 + 2.0**-54
    exact = np.where(p < 0.5, special.ndtri(p), -special.ndtri(q))
    np.testing.assert_allclose(z, exact, rtol=4e-15)
    assert (words_to_normal(~WORDS) == -z).all()
    assert np.isfinite(z).all()


@pytest.mark.parametrize("d", [1, 2, 3, 4, 5, 8, 100])
def test_any_rows_alone(d):
    whole = gtn_fast.normal(7, 0, 100, d)
    assert whole.dtype == np.float32
    assert whole.shape == (100, d)
    for first, rows in [(0, 1), (99, 1), (13, 40), (50, 0)]:
        assert (gtn_fast.normal(7, first, rows, d) == whole[first : first + rows]).all()


def test_columns_padded_to_four():
    """Element (row, col) is word col % 4 of counter row * ceil(d / 4) + col // 4."""
    words = philox_words(3, np.arange(6, dtype=np.uint64))  # 3 rows of d = 5
    expected = words_to_normal(words).reshape(3, 8)[:, :5].astype(np.float32)
    assert (gtn_fast.normal(3, 0, 3, 5) == expected).all()


def test_distribution():
    z = gtn_fast.normal(123, 0, 50_000, 4).astype(np.float64)
    assert stats.kstest(z.ravel(), "norm").pvalue > 1e-3
    assert np.abs(np.corrcoef(z.T) - np.eye(4)).max() < 0.02
    assert not (gtn_fast.normal(124, 0, 100, 4) == z[:100]).any()


def test_chunks_without_the_engine(monkeypatch):
    from gtn_fast import sample

    monkeypatch.setattr(sample.native, "available", lambda: False)
    monkeypatch.setattr(sample, "_CHUNK", 64)
    assert (gtn_fast.normal(9, 5, 100, 7) == normal(9, 5, 100, 7)).all()


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("d", [1, 3, 4, 5, 100])
@pytest.mark.parametrize("seed", SEEDS)
def test_native_bits(native, seed, d, threads):
    for first, rows in [(0, 500), (10**9, 300), (2**33, 3)]:
        made = native.normal(seed, first, rows, d, threads)
        assert made.dtype == np.float32
        assert (made == normal(seed, first, rows, d)).all()


@pytest.mark.slow
def test_native_bits_of_many(native):
    """4 million numbers: the far tail (r > 5) is hit about once in 10**11, the tail often."""
    assert (native.normal(1, 0, 10**6, 4, 2) == normal(1, 0, 10**6, 4)).all()
