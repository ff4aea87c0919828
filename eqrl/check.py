"""Derive the symmetry of a model or environment and prove it: ``python -m eqrl.check TARGET``, ``eqrl check TARGET``, :func:`check`."""

# ruff: noqa: RUF009 (option() is dataclasses.field() with a name of its own)

from __future__ import annotations

import json
import math
import os
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

import gymnasium
import mujoco
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from eqrl.config import convert_options, option
from eqrl.errors import UsageError
from eqrl.hints import one_line
from eqrl.symmetry.morphology import Derivation, NearMiss, derive
from eqrl.symmetry.proof import NonFiniteRolloutError, Verdict, Verdicts
from eqrl.symmetry.proof.declarations import declaring_layer
from eqrl.symmetry.proof.model import generators_of
from eqrl.symmetry.proof.silence import silenced
from eqrl.symmetry.proof.tasks import is_mujoco_env
from eqrl.symmetry.proof.verify import is_typed_world, verify
from eqrl.symmetry.spaces import representation_of
from eqrl.tables import print_table

MODEL_FILES = (".xml", ".mjcf", ".mjb")


@dataclass(frozen=True)
class Options:
    """Options of ``eqrl check``."""

    level: Literal["kinematic", "dynamic"] = option(
        "dynamic", "what to prove", "tree, joints and shapes only, or masses, gains and friction too"
    )
    tolerance: float = option(1e-8, "what to prove", "how far a state may be from its image; where a robot is chaotic, more")
    states: int = option(24, "what to prove", "random states to start from", metavar="N")
    seed: int = option(0, "what to prove", "seed of states and controls")
    env_kwargs: dict[str, Any] = option({}, "what to prove", "options of the environment", metavar="KEY:VALUE")
    gym_packages: list[str] | None = option(
        None, "what to prove", "packages to import first because they register the environment", metavar="PACKAGE"
    )
    json: str | None = option(None, "what to write", "file for the numbers", metavar="FILE")

    def __post_init__(self) -> None:
        """Convert every value.

        Raises:
            UsageError: for a value of the wrong type or size.
        """
        convert_options(self)
        if not 0.0 < self.tolerance < math.inf:
            raise UsageError(f"option 'tolerance': {self.tolerance:g} is not a positive number")
        if self.states < 1:
            raise UsageError(f"option 'states': {self.states} is too small, give at least 1")


@dataclass(frozen=True)
class Report:
    """What a check found.

    Attributes:
        target: the environment id or the file.
        group: name of the group.
        order: number of elements of its finite part.
        verdicts: one for each generator; the world's rotations have kind ``"world"``.
        near_misses: symmetries that almost hold, and their own verdicts.
        notes: why it is not more, one line each.
        unproved: generators that could not be tried, as (name, kind), because the model diverges; there are no verdicts then.
        reason: why they could not.
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
        """Whether everything that is declared or derived holds, and could be proved."""
        return self.verdicts.holds and not self.unproved

    def to_json(self) -> dict[str, Any]:
        """As ``eqrl check --json`` writes it; errors that are not finite become null, and ``holds`` of what could not be tried."""
        generators = [
            {
                "name": v.name,
                "kind": v.kind,
                **{f"error_{k}": _finite(v.errors.get(k)) for k in (1, 10, 50)},
                "holds": v.holds,
                "cause": v.cause.id if v.cause else None,
            }
            for v in self.verdicts
        ] + [
            {
                "name": name,
                "kind": kind,
                **dict.fromkeys(("error_1", "error_10", "error_50", "holds")),
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


def check(target: str | Path, **options: Any) -> Report:
    """Derive what a model or environment declares or has, and prove it.

    Args:
        target: id of an environment, or an ``.xml``, ``.mjcf`` or ``.mjb`` file.
        options: fields of :class:`Options`.

    Raises:
        UsageError: for an unknown environment or a file that is not a model.
    """
    chosen = Options(**options)
    with warnings.catch_warnings(), silenced():
        # of deprecated attributes and versions; whoever checks a model did not always write it
        warnings.simplefilter("ignore")
        return (_check_model if _is_file(str(target)) else _check_env)(str(target), chosen)


def _is_file(target: str) -> bool:
    return Path(target).suffix.lower() in MODEL_FILES or Path(target).is_file()


def _check_model(target: str, options: Options) -> Report:
    try:
        derivation = derive(target)
    except (FileNotFoundError, ValueError) as error:
        raise UsageError(f"{target}: {_without_path(str(error), target)}") from None
    return _derived(target, derivation.model, derivation, options)


def _check_env(target: str, options: Options) -> Report:
    from eqrl.build import check_environment_id, import_packages

    import_packages(options.gym_packages)
    check_environment_id(target)
    with one_line(f"environment {target}"):
        env: gymnasium.Env[Any, Any] = gymnasium.make(target, **options.env_kwargs)
    try:
        if is_typed_world(env):
            return _typed(target, env, options)
        world: Any = env.unwrapped
        if not is_mujoco_env(world):
            raise UsageError(
                f"environment {target}: it has neither a MuJoCo model nor typed spaces and a state that can be set, so that "
                "no symmetry can be tried on it"
            )
        return _derived(target, env, derive(world.model), options)
    finally:
        env.close()


def _typed(target: str, env: gymnasium.Env[Any, Any], options: Options) -> Report:
    layer = declaring_layer(env)
    assert layer is not None  # its type was seen
    group = representation_of(layer.observation_space).group
    with one_line(f"environment {target}"):
        verdicts = verify(env, states=options.states, seed=options.seed, tolerance=options.tolerance)
    return Report(target, group.name, int(group.cosets.R.shape[0]), verdicts)


def _derived(
    target: str, subject: mujoco.MjModel | gymnasium.Env[Any, Any], derivation: Derivation, options: Options
) -> Report:
    common: dict[str, Any] = {"states": options.states, "seed": options.seed, "tolerance": options.tolerance}
    misses = derivation.near_misses
    verdicts, tried, reason = Verdicts(), Verdicts(), ""
    try:
        verdicts = verify(subject, derivation, level=options.level, **common)
        # of these the causes are known: they are what the derivation found to differ
        tried = verify(derivation.model, [m.symmetry for m in misses], diagnosing=False, **common) if misses else tried
    except NonFiniteRolloutError as error:
        reason = str(error)
    generators = generators_of(derivation, options.level)
    return Report(
        target,
        derivation.group(options.level).name,
        derivation.order(options.level),
        verdicts,
        tuple(zip_longest(misses, tried)),
        (*map(str, derivation.exchangeable(options.level)), *derivation.world.reasons, *derivation.notes),
        () if verdicts else tuple((g.name, g.kind) for g in generators),
        reason,
    )


# ------------------------------------------------------------------ what is printed and written
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
    for miss, tried in report.near_misses:
        line(f"near miss: {miss}" + (f"; error after 50 steps {_size(tried.error_50)}" if tried else ""), markup=False)
    for note in report.notes:
        line(f"note: {note}", markup=False)


def _table(verdicts: Verdicts) -> Table:
    contacts = max(v.contacts for v in verdicts)
    table = Table(title=f"errors after 1, 10 and 50 steps, up to {contacts} contacts", title_justify="left", box=SIMPLE_HEAD)
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


def write_json(report: Report, path: str | Path, **extra: Any) -> None:
    """Write a report, as a whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    aside.write_text(json.dumps({**report.to_json(), **extra}, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(aside, path)


def run_command(target: str, options: Mapping[str, Any], console: Console) -> int:
    """What ``eqrl check`` does: check, print, write.

    Returns:
        0 if all that is declared or derived holds, 1 if something does not or could not be proved.

    Raises:
        UsageError: for anything that the user can repair.
    """
    from eqrl.evaluate import check_file

    chosen = Options(**options)
    check_file(chosen.json, (".json",))
    report = check(target, **options)
    print_report(report, console)
    if chosen.json:
        write_json(report, chosen.json)
        console.print(f"numbers  {chosen.json}", markup=False, soft_wrap=True)
    return 0 if report.holds else 1


def _finite(error: float | None) -> float | None:
    return error if error is not None and math.isfinite(error) else None


def _size(error: float | None) -> str:
    return "-" if error is None else f"{error:.1e}"


def _without_path(text: str, target: str) -> str:
    return text.removeprefix(f"{target}: ").strip() or "MuJoCo cannot read it"


if __name__ == "__main__":
    from eqrl.cli import main

    sys.exit(main(["check", *sys.argv[1:]]))
