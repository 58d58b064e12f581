"""create_labels: the authors' function, and where their float32 loop parts from it."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch

import gtn_fast
from gtn_fast import compat


def float32_loop(s, t):
    """The authors' labeling in torch float32, written afresh from its description.

    Both sets sorted by norm; one source after the other takes the remaining target of
    highest cosine similarity, which leaves the set.
    """
    s = s[torch.argsort(s.norm(dim=1), stable=True)]
    t = t[torch.argsort(t.norm(dim=1), stable=True)]
    left = torch.ones(len(t), dtype=torch.bool)
    chosen = []
    for row in s:
        cosine = torch.nn.functional.cosine_similarity(row[None], t, dim=1)
        cosine[~left] = -torch.inf
        best = int(torch.argmax(cosine))
        left[best] = False
        chosen.append(best)
    return s, t[chosen]


@pytest.fixture(params=["reference", "auto"], autouse=True)
def method(request, monkeypatch):
    """The wrapper over the oracle and over the engine."""
    if request.param == "auto":
        request.getfixturevalue("native")
    monkeypatch.setattr(compat, "label", functools.partial(gtn_fast.label, method=request.param))


def sample(n, d, dtype=torch.float32):
    generator = torch.Generator().manual_seed(d)
    return torch.randn(n, d, generator=generator).to(dtype), torch.rand(
        n, d, generator=generator
    ).to(dtype) - 0.5


@functools.cache
def float32_loop_of_sample(n, d):
    return float32_loop(*sample(n, d))


@pytest.mark.parametrize("type", ["cosine", "angular_dist"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_what_comes_back(type, dtype):
    s, t = sample(60, 3, dtype)
    sources, targets = gtn_fast.create_labels(s, t, type=type)
    labels = gtn_fast.label(t, s, method="reference")
    assert sources.dtype == targets.dtype == torch.float32
    assert sources.device == s.device
    assert (sources == s[labels.order].float()).all()
    assert (targets == t[labels.x_index[labels.order]].float()).all()
    norms = s.double().norm(dim=1)[labels.order]
    assert (norms.diff() >= -1e-12).all()


def test_gradients_and_input_stay_out():
    s, t = (part.requires_grad_() for part in sample(20, 3))
    before = s.detach().clone()
    sources, targets = gtn_fast.create_labels(s, t)
    assert not sources.requires_grad
    assert not targets.requires_grad
    sources.zero_()
    assert (s == before).all()


def test_fewer_sources_than_targets():
    s, t = sample(60, 3)
    sources, targets = gtn_fast.create_labels(s[:20], t)
    assert sources.shape == targets.shape == (20, 3)


@pytest.mark.parametrize(("d", "least"), [(2, 0.90), (5, 0.99), (32, 0.99)])
def test_agreement_with_the_float32_loop(d, least):
    """The measured shares in the docstring of create_labels are those of this test."""
    s, t = sample(2000, d)
    ours, theirs = gtn_fast.create_labels(s, t), float32_loop_of_sample(2000, d)
    agree = float((ours[1] == theirs[1]).all(dim=1).float().mean())
    assert agree >= least
    cosine = torch.nn.functional.cosine_similarity
    gap = cosine(*(p.double() for p in ours)).mean() - cosine(*(p.double() for p in theirs)).mean()
    assert abs(gap) < 1e-4
    print(f"d = {d}: {agree:.4%} of the pairs agree")


def test_the_comparator_notices_a_difference():
    s, t = sample(200, 5)
    ours, theirs = gtn_fast.create_labels(s, t), float32_loop(s, t.flip(1))
    assert (ours[1] == theirs[1]).all(dim=1).float().mean() < 0.5


@pytest.mark.parametrize("type", ["euclidean", "", None, 1])
def test_other_types(type):
    with pytest.raises(ValueError, match=r"unknown type .*; valid: cosine, angular_dist"):
        gtn_fast.create_labels(*sample(5, 2), type=type)


def test_arrays_are_refused():
    s, t = sample(5, 2)
    with pytest.raises(TypeError, match="s must be a torch tensor, got ndarray"):
        gtn_fast.create_labels(s.numpy(), t)
    with pytest.raises(TypeError, match="t must be a torch tensor, got list"):
        gtn_fast.create_labels(s, t.tolist())


def test_bad_input_is_refused_as_by_label():
    s, t = sample(5, 2)
    with pytest.raises(ValueError, match="Y has 5 rows, X only 4"):
        gtn_fast.create_labels(s, t[:4])
    s[3, 1] = torch.nan
    with pytest.raises(ValueError, match="Y must be finite: row 3, column 1"):
        gtn_fast.create_labels(s, t)


def test_is_exported():
    assert gtn_fast.create_labels is compat.create_labels
    assert np.isin("create_labels", gtn_fast.__all__)
