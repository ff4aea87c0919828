"""The report of ``eqrl check``, on the screen and as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from eqrl.commands.tables import print_table
from eqrl.derivation import NearMiss
from eqrl.files.atomic import write_whole
from eqrl.proof import Verdict, Verdicts


@dataclass(frozen=True)
class Report:
    """The results of a check.

    Attributes:
        target: the environment id or the file.
        group: name of the group.
        order: number of elements of its finite part.
        verdicts: one for each generator; the world's rotations have kind ``"world"``.
        near_misses: symmetries that almost hold, with their verdicts.
        notes: reasons why the group is not larger, one line each.
        unproved: generators that could not be tried because the model diverges, as (name, kind); then there are no
            verdicts.
        reason: why they could not be tried.
    """

    target: str
    group: str
    order: int
    verdicts: Verdicts
    near_misses: tuple[tuple[NearMiss, Verdict | None], ...] = ()
    notes: tuple[str, ...] = ()
    unproved: tuple[tuple[str, str], ...] = ()
    reason: str = ""

    @property
    def holds(self) -> bool:
        """Whether everything that is declared or derived holds and could be proved."""
        return self.verdicts.holds and not self.unproved

    def to_json(self) -> dict[str, Any]:
        """The report as ``eqrl check --json`` writes it.

        Errors that are not finite become null, and so does ``holds`` of a generator that could not be tried.
        """
        generators = [
            {
                "name": v.name,
                "kind": v.kind,
                **{f"error_{k}": _finite(v.errors.get(k)) for k in (1, 10, 50)},
                "contacts": v.contacts,
                "holds": v.holds,
                "cause": v.cause.id if v.cause else None,
            }
            for v in self.verdicts
        ] + [
            {
                "name": name,
                "kind": kind,
                **dict.fromkeys(("error_1", "error_10", "error_50", "contacts", "holds")),
                "cause": self.reason,
            }
            for name, kind in self.unproved
        ]
        near_misses = [
            {
                "name": miss.name,
                "kind": miss.symmetry.kind,
                "field": d.field,
                "of": list(d.of),
                "values": [list(x) if isinstance(x, tuple) else x for x in d.values],
                "relative": d.relative,
                "error_50": _finite(verdict.error_50) if verdict else None,
            }
            for miss, verdict in self.near_misses
            for d in miss.discrepancies
        ]
        return {
            "target": self.target,
            "group": self.group,
            "order": self.order,
            "generators": generators,
            "near_misses": near_misses,
        }


def print_report(report: Report, console: Console) -> None:
    """Print the group, a row for each generator, causes with their fixes, remarks and near misses."""
    line = partial(console.print, soft_wrap=True)
    line(f"[bold]{escape(report.target)}[/]  group {report.group}, finite part of order {report.order}")
    if len(report.verdicts):
        print_table(console, _table(report.verdicts))
    elif report.unproved:
        line("[red]not proved[/]: " + escape(report.reason))
        for name, kind in report.unproved:
            line(f"  {name} ({kind})", markup=False)
    else:
        line("no symmetry: there is nothing to prove")
    for verdict in report.verdicts:
        if verdict.cause is not None:
            line(f"[red]{escape(verdict.name)}[/]: {escape(str(verdict.field))} differs first, at step {verdict.step}")
            line(f"  cause  {verdict.cause.id}", markup=False)
            if verdict.cause.fix:
                line(f"  fix    {verdict.cause.fix}", markup=False)
        for remark in verdict.remarks:
            line(f"{verdict.name}: {remark}", markup=False)
    if untouched := [v.name for v in report.verdicts if v.holds and not v.contacts]:
        line(
            f"note: nothing touched anything, so that contacts are not proved for {', '.join(untouched)}", markup=False
        )
    for miss, tried in report.near_misses:
        line(f"near miss: {miss}" + (f"; error after 50 steps {_size(tried.error_50)}" if tried else ""), markup=False)
    for note in report.notes:
        line(f"note: {note}", markup=False)


def _table(verdicts: Verdicts) -> Table:
    contacts = max(v.contacts for v in verdicts)
    table = Table(
        title=f"errors after 1, 10 and 50 steps, up to {contacts} contacts", title_justify="left", box=SIMPLE_HEAD
    )
    table.padding, table.pad_edge = (0, 1, 0, 0), False
    table.add_column("generator")
    table.add_column("kind")
    for name in ("1", "10", "50"):
        table.add_column(name, justify="right")
    table.add_column("holds")
    for v in verdicts:
        errors = [_size(v.errors.get(k)) for k in (1, 10, 50)]
        holds = "[green]yes[/]" if v.holds else "[red]no[/]"
        table.add_row(escape(v.name), v.kind, *errors, holds)  # causes follow in full below
    return table


class Writable(Protocol):
    """A report that can be written."""

    def to_json(self) -> dict[str, Any]:
        """What is written."""


def write_json(report: Writable, path: str | Path, **extra: Any) -> None:
    """Write a report atomically."""
    write_whole(Path(path), json.dumps({**report.to_json(), **extra}, indent=2, allow_nan=False) + "\n")


def _finite(error: float | None) -> float | None:
    return error if error is not None and math.isfinite(error) else None


def _size(error: float | None) -> str:
    return "-" if error is None else f"{error:.1e}"
