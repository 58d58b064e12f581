"""Labeled pairs as a data module of Lightning: it labels once, and serves batches."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader

from gtn_fast.inputs.arguments import check_integer, check_seed
from gtn_fast.learn.pairs import LabeledPairs


class LabeledPairsModule(LightningDataModule):
    """Batches of (y, x_y): y ~ N(0, I) and the row of X that it is to be sent to.

    X is labeled when a Trainer first asks for it. With several devices each process labels, and
    the answer is the same in all of them; ``cache`` lets the first do it for the others.

    Parameters
    ----------
    X : (n, d) array or tensor, path, or paths
        The data, whatever ``gtn_fast.label`` takes; nothing is standardised here.
    val : the same, optional
        Data to validate on, labeled with a sample of their own (seed + 1).
    batch_size : int
        Pairs per step; the last batch of an epoch may be smaller.
    seed : int
        Of the normal sample and of the order of the pairs.
    num_workers : int
        Processes that serve batches; 0: none but this one.
    options
        More arguments of ``gtn_fast.LabeledPairs``: method, groups, threads, flatten; cache,
        which is of X alone.

    Examples
    --------
    >>> import gtn_fast
    >>> from gtn_fast.adapters.lightning import LabeledPairsModule
    >>> data = LabeledPairsModule(gtn_fast.normal(1, 0, 100, 3), batch_size=20, progress=False)
    >>> data.setup("fit")
    >>> y, x = next(iter(data.train_dataloader()))
    >>> y.shape, x.shape
    (torch.Size([20, 3]), torch.Size([20, 3]))
    """

    def __init__(
        self,
        X: Any,
        *,
        val: Any = None,
        batch_size: int = 256,
        seed: int = 0,
        num_workers: int = 0,
        **options: Any,
    ) -> None:
        super().__init__()
        self._x, self._val, self._options = X, val, options
        self.batch_size = check_integer(batch_size, "batch_size", 1, 2**31 - 1)
        self.num_workers = check_integer(num_workers, "num_workers", 0, 2**16)
        self.seed = check_seed(seed)
        self.pairs: LabeledPairs | None = None
        self.val_pairs: LabeledPairs | None = None

    def prepare_data(self) -> None:
        """Label X into the cache, if there is one: once for all processes of a machine."""
        if self._options.get("cache") is not None:
            self._label()

    def setup(self, stage: str) -> None:
        """Label what the stage needs, if it was not labeled before."""
        if stage == "fit" and self.pairs is None:
            self.pairs = self._label()
        if stage in ("fit", "validate") and self._val is not None and self.val_pairs is None:
            options = {name: value for name, value in self._options.items() if name != "cache"}
            seed = (self.seed + 1) % 2**64
            self.val_pairs = LabeledPairs(self._val, seed=seed, **options)

    def train_dataloader(self) -> DataLoader[Any]:
        """Return shuffled batches of the labeled pairs."""
        order = torch.Generator().manual_seed(self.seed % 2**63)
        return self._loader(self.pairs, shuffle=True, generator=order)

    def val_dataloader(self) -> Any:
        """Return batches of the pairs to validate on; none without ``val``."""
        return [] if self.val_pairs is None else self._loader(self.val_pairs)

    def _label(self) -> LabeledPairs:
        return LabeledPairs(self._x, seed=self.seed, **self._options)

    def _loader(self, pairs: Any, **how: Any) -> DataLoader[Any]:
        return DataLoader(pairs, self.batch_size, num_workers=self.num_workers, **how)
