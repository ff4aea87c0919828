"""Tables that are never truncated: numbers stay whole, long names wrap, and piped output keeps its full width."""

from __future__ import annotations

import io

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

_WIDEST = 10_000
_NARROWEST = 8


def print_table(console: Console, table: Table) -> None:
    """Print a table whose right-aligned columns hold numbers and whose other columns hold names.

    In a terminal, names wrap where the table is too wide. In a file or a pipe, which have no width, nothing wraps.
    """
    unbound = console.options.update(width=_WIDEST)
    natural = Measurement.get(console, unbound, table).maximum
    narrowest = natural
    for column in table.columns:
        width = max(Measurement.get(console, unbound, cell).maximum for cell in (column.header, *column.cells))
        if column.justify == "right":
            column.no_wrap, column.min_width = True, width
        else:
            column.no_wrap, column.overflow, column.min_width = False, "fold", min(width, _NARROWEST)
            narrowest -= width - column.min_width
    if console.is_terminal and console.width >= narrowest:
        console.print(table)
        return
    text = io.StringIO()
    Console(file=text, width=narrowest if console.is_terminal else natural).print(table)
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
