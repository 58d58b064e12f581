"""What a check of a matching comes to: what is wrong, or what was looked at."""

from __future__ import annotations

from dataclasses import dataclass


class WrongMatching(ValueError):
    """The matching breaks the definition.

    ``y_row`` chose ``x_row`` (cosine ``cosine``) although ``better_x_row``, free at its
    turn, comes first (cosine ``better_cosine``); what does not apply is None.
    """

    def __init__(
        self,
        message: str,
        *,
        y_row: int | None = None,
        x_row: int | None = None,
        better_x_row: int | None = None,
        cosine: float | None = None,
        better_cosine: float | None = None,
    ) -> None:
        super().__init__(message)
        self.y_row = y_row
        self.x_row = x_row
        self.better_x_row = better_x_row
        self.cosine = cosine
        self.better_cosine = better_cosine


@dataclass(frozen=True)
class VerifyReport:
    """What was checked: all is well, or ``verify`` would have raised.

    ``checked``: how many y's were compared by brute force; ``contenders``: how many x's were so
    close to a chosen x that the exact rule had to decide; ``mean_cosine`` and ``min_cosine``: of
    the checked pairs; ``unmatched``: how many y's take none; ``complete``: whether every y was
    checked; ``quality``: None for exact labels; for approximate labels, how good the choices are
    (the numbers of ``report["quality"]``, from this sample).
    """

    n_x: int
    n_y: int
    d: int
    checked: int
    contenders: int
    mean_cosine: float
    min_cosine: float
    complete: bool
    quality: dict[str, float] | None = None
    unmatched: int = 0
