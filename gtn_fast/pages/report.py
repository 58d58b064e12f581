"""``labels.report``: a dictionary that prints as a short table, in a notebook as HTML."""

from __future__ import annotations

import html
from typing import Any

from gtn_fast.pages.rows import rows_of


class Report(dict[str, Any]):
    """What ran, plain numbers and texts by name. ``print`` shows the table, ``repr`` all of it."""

    def __str__(self) -> str:
        rows = rows_of(self)
        width = max((len(name) for name, _ in rows), default=0)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows) or repr(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text("Report(...)" if cycle else str(self))

    def _repr_html_(self) -> str:
        return table(rows_of(self))


def table(rows: list[tuple[str, str]]) -> str:
    """Return names and values as a table of HTML."""
    cells = "".join(
        f'<tr><th scope="row" style="text-align:left">{html.escape(name)}</th>'
        f'<td style="text-align:left">{html.escape(value)}</td></tr>'
        for name, value in rows
    )
    return f"<table>{cells}</table>"
