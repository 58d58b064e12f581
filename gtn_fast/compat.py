"""The authors' labeling function, drop-in."""

from __future__ import annotations

import sys
from typing import Any

from gtn_fast.api import label
from gtn_fast.environment import in_default_environment
from gtn_fast.inputs.arrays import is_tensor
from gtn_fast.system.openmp import torch_in_a_fork

_TYPES = ("cosine", "angular_dist")


@in_default_environment
def create_labels(
    s: Any, t: Any, type: str = "cosine", *, threads: int | None = None
) -> tuple[Any, Any]:
    """Label the source sample ``s`` with rows of the targets ``t``, as the authors' function does.

    Parameters
    ----------
    s : torch tensor (n_s, d)
        The source sample (normals): what chooses.
    t : torch tensor (n_t, d)
        The targets (data or latents), n_s <= n_t.
    type : str
        "cosine" or "angular_dist" (its arc cosine): the same matching.
    threads : int, optional
        As in ``label``.

    Returns
    -------
    (s sorted by norm, their labels in the same order)
        Two float32 tensors (n_s, d) on the device of ``s``.

    Raises
    ------
    TypeError
        s or t is no torch tensor.
    ValueError
        Another ``type``, or what ``label`` raises (there s is Y and t is X).

    Notes
    -----
    The authors' loop decides in float32, this in float64 from the same values. Near 1 a
    float32 cosine has steps of 6e-8, an angle of 3e-4: where points lie that close, the
    loop sees a tie and takes the smaller norm, here the closer direction wins; one such
    choice changes later ones too. That matters at d = 2 alone. Measured with n = 2000,
    normal sources, uniform targets in a centred cube, torch 2.13 on CPU, mean of five
    seeds: 97.3 % of the pairs agree at d = 2 (96.9 to 97.7), 100 % at d = 5, 99.96 % at
    d = 32. The mean cosine differs by less than 1e-4.

    Examples
    --------
    >>> import torch
    >>> from gtn_fast import create_labels
    >>> s, t = torch.randn(100, 5), torch.rand(200, 5) - 0.5
    >>> y, labels = create_labels(s, t)
    >>> y.shape, labels.shape
    (torch.Size([100, 5]), torch.Size([100, 5]))
    >>> bool((y.norm(dim=1).diff() >= 0).all())
    True
    """
    if not isinstance(type, str) or type not in _TYPES:
        raise ValueError(f"unknown type {type!r}; valid: {', '.join(_TYPES)}")
    for name, value in (("s", s), ("t", t)):
        if not is_tensor(value):
            raise TypeError(
                f"{name} must be a torch tensor, got {value.__class__.__name__};"
                " gtn_fast.label takes numpy arrays"
            )
    torch = sys.modules["torch"]
    labels = label(t, s, threads=threads, progress=False)
    order = torch.from_numpy(labels.order)
    chosen = torch.from_numpy(labels.x_index[labels.order])
    with torch_in_a_fork():
        sources = s.detach()[order.to(s.device)].to(torch.float32)
        targets = t.detach()[chosen.to(t.device)].to(device=s.device, dtype=torch.float32)
    return sources, targets
