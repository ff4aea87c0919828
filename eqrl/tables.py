"""Tables that lose nothing: numbers stay whole, long names are broken over lines, and what is piped is as wide as it is."""

from __future__ import annotations

import io

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

_WIDEST = 10_000
_NARROWEST = 8


def print_table(console: Console, table: Table) -> None:
    """Print a table in which columns that are aligned right hold numbers, and the others names.

    In a terminal, names are broken where the table is too wide. Into a file or a pipe, which have no width, nothing is.
    """
    unbound = console.options.update(width=_WIDEST)
    for column in table.columns:
        if column.justify == "right":
            column.no_wrap = True
            column.min_width = max(Measurement.get(console, unbound, cell).maximum for cell in (column.header, *column.cells))
        else:
            column.no_wrap, column.overflow, column.min_width = False, "fold", _NARROWEST
    if console.is_terminal:
        console.print(table, crop=False)
        return
    text = io.StringIO()
    Console(file=text, width=Measurement.get(console, unbound, table).maximum).print(table)
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
