"""``eqrl diagnose``, and :func:`diagnose` from Python: what of a run's symmetry is exact, fitted or broken."""

# ruff: noqa: RUF009 (option() wraps dataclasses.field())

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from stable_baselines3.common.base_class import BaseAlgorithm

from eqrl.commands.evaluate import load_with_config
from eqrl.commands.options import check_file, read_run
from eqrl.commands.tables import print_table
from eqrl.diagnostics import Diagnosis, Noether, diagnose_model, draw, noether_test, play
from eqrl.discovery import EffectiveGroup, discover
from eqrl.errors import UsageError
from eqrl.files.atomic import write_whole
from eqrl.proof import NonFiniteRolloutError
from eqrl.runs.config import Config, convert_options, option
from eqrl.runs.environments import make_env, single
from eqrl.runs.packages import import_packages
from eqrl.runs.transfer import in_environment
from eqrl.symmetry import SymmetryError, UntypedSpaceError

_ABOUT = """Tell what of the symmetry of a run's agent is exact (it cannot break it), fitted (it hardly does) or
free, and what its world breaks: errors of actor and value, coherence of gradients, saliency, parity of the gait, dead
units, and the conservation of angular momentum in the model."""


@dataclass(frozen=True)
class Options:
    """Options of ``eqrl diagnose``."""

    samples: int = option(256, "what to look at", "observations to look at", metavar="N")
    accept: float = option(0.05, "what to look at", "largest breaking of the world that counts as a symmetry")
    env: str | None = option(None, "what to look at", "another environment with equal spaces", metavar="ID")
    env_kwargs: dict[str, Any] = option(
        {}, "what to look at", "options of the environment, besides those of the run", metavar="K:V"
    )
    checkpoint: str = option("last", "what to look at", "last, best or a number of steps", metavar="WHICH")
    seed: int = option(10_000, "what to look at", "seed of episodes and actions")
    num_threads: int | None = option(None, "what to look at", "threads for simulation and PyTorch", metavar="N")
    device: str | None = option(None, "what to look at", "PyTorch device")
    gym_packages: list[str] | None = option(
        None, "what to look at", "packages to import first because they register the environment", metavar="PACKAGE"
    )
    config: str | None = option(
        None, "zip files of Stable-Baselines3", "the configuration that the model was trained with", metavar="FILE"
    )
    trusted: bool = option(
        False,
        "zip files of Stable-Baselines3",
        "run the code in the file: who made it can do with this computer what you can",
    )
    json: str | None = option(None, "what to write", "file for the numbers", metavar="FILE")
    plot: str | None = option(None, "what to write", "file for the picture, .png, .svg or .pdf", metavar="FILE")

    def __post_init__(self) -> None:
        """Convert every value.

        Raises:
            UsageError: for a value of the wrong type or size.
        """
        convert_options(self)
        if self.samples < 8:
            raise UsageError(f"option 'samples': {self.samples} is too small, give at least 8")
        if not self.accept > 0.0:
            raise UsageError(f"option 'accept': {self.accept:g} is not a positive number")


def diagnose(
    run: str | Path,
    *,
    samples: int = 256,
    accept: float = 0.05,
    env: str | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    checkpoint: str | int = "last",
    seed: int = 10_000,
    device: str | None = None,
    config: Config | str | Path | None = None,
    trusted: bool = False,
) -> Diagnosis:
    """Tell what of the symmetry of a run's agent is exact, fitted or broken.

    Args:
        run: a run folder, or a ``.zip`` file of Stable-Baselines3.
        samples: number of observations.
        accept: largest breaking of the world that counts as a symmetry.
        env: id of another environment with equal spaces; by default the run's.
        env_kwargs: options of the environment, besides those of the run.
        checkpoint: ``"last"``, ``"best"`` or a number of steps.
        seed: of episodes and actions.
        device: PyTorch device; by default the run's.
        config: for a ``.zip`` file, the configuration that it was trained with, or a file that holds it.
        trusted: for a ``.zip`` file, **run the code in it**, see :func:`eqrl.load`.

    Raises:
        UsageError: if there is no model, or its spaces do not say how they turn.
    """
    model, run_config = load_with_config(run, checkpoint, device, config, trusted)
    return _diagnose(model, in_environment(model, run_config, env, env_kwargs), samples, accept, seed)[0]


def _diagnose(
    model: BaseAlgorithm, config: Config, samples: int, accept: float, seed: int
) -> tuple[Diagnosis, tuple[str, ...]]:
    """The diagnosis, and remarks on what could not be told."""
    with closing(make_env(config, 4, seed=seed, evaluation=True)) as env:
        try:
            sample = play(model, env, samples)
            world, noether, remarks = _of_world(config, accept, seed)
            return diagnose_model(model, sample, world=world, noether=noether), remarks
        except UntypedSpaceError as error:
            raise UsageError(f"environment {config.env} cannot be diagnosed: {error}") from None


def _of_world(
    config: Config, accept: float, seed: int
) -> tuple[EffectiveGroup | None, Noether | None, tuple[str, ...]]:
    """What the world breaks, and whether its model conserves angular momentum, as far as it can be asked."""
    with (
        single(config, {**config.env_kwargs, **config.eval_env_kwargs}) as env,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        model = getattr(env.unwrapped, "model", None)
        noether = None if model is None else noether_test(model, seed=seed)
        try:
            return discover(env, accept=accept, transitions=32, seed=seed), noether, ()
        except (TypeError, ValueError, SymmetryError, NonFiniteRolloutError) as error:
            return None, noether, (f"the world could not be measured: {error}",)


def command(argv: Sequence[str], console: Console) -> int:
    """``eqrl diagnose``."""
    run, options = read_run("eqrl diagnose", _ABOUT, Options, argv)
    run_command(run, options, console)
    return 0


def run_command(run: str, options: Options, console: Console) -> Diagnosis:
    """Run ``eqrl diagnose``: load, look, print, write.

    Raises:
        UsageError: for anything that the user can repair; output files are checked before any work is done.
    """
    check_file(options.json, (".json",))
    check_file(options.plot, (".png", ".svg", ".pdf"))
    import_packages(options.gym_packages)
    if options.num_threads is not None:
        torch.set_num_threads(options.num_threads)
    model, config = load_with_config(run, options.checkpoint, options.device, options.config, options.trusted)
    config = config.replace(num_threads=options.num_threads or config.num_threads)
    config = in_environment(model, config, options.env, options.env_kwargs)
    console.print(
        f"[bold]{config.env}[/] played by {escape(str(run))} ({config.algo}, {config.network})", soft_wrap=True
    )
    diagnosis, remarks = _diagnose(model, config, options.samples, options.accept, options.seed)
    _print(diagnosis, console)
    for remark in remarks:
        console.print(f"note: {' '.join(remark.split())}", markup=False, soft_wrap=True)
    if options.json:
        extra = {"run": str(run), "env": config.env, "algo": config.algo, "network": config.network}
        content = {**diagnosis.to_json(), **extra, "checkpoint": options.checkpoint, "timesteps": model.num_timesteps}
        write_whole(Path(options.json), json.dumps(content, indent=2, allow_nan=False) + "\n")
        console.print(f"numbers  {options.json}", markup=False, soft_wrap=True)
    if options.plot:
        draw(diagnosis, options.plot, title=f"{config.env}, {config.algo}, {config.network}")
        console.print(f"figure   {options.plot}", markup=False, soft_wrap=True)
    return diagnosis


_WORLD = {True: "holds", False: "[red]broken[/]", None: "unknown"}
_COLOUR = {"exact": "[green]exact[/]", "fitted": "[yellow]fitted[/]", "free": "[red]free[/]"}


def _print(diagnosis: Diagnosis, console: Console) -> None:
    """A row for each candidate and network, then parity, units and Noether's test, one line each."""
    table = Table(title=f"on {diagnosis.samples} observations", title_justify="left", box=SIMPLE_HEAD)
    table.padding, table.pad_edge = (0, 1, 0, 0), False
    for name in ("candidate", "kind", "world", "network", "verdict"):
        table.add_column(name)
    for name in ("error", "coherence", "random pairs", "saliency"):
        table.add_column(name, justify="right")
    for c in diagnosis.candidates:
        for i, what in enumerate(("actor", "value")):
            of_gradients = c.coherence[what]
            names = (escape(c.name), c.kind, _WORLD[c.world_holds]) if i == 0 else ("", "", "")
            table.add_row(
                *names,
                what,
                _COLOUR[c.verdict(what)],
                f"{c.errors[what]:.1e}",
                f"{of_gradients.orbit:.3f}",
                f"{of_gradients.random:.3f}",
                f"{c.saliency[what]:.3f}",
            )
    if diagnosis.candidates:
        print_table(console, table)
    line = partial(console.print, markup=False, soft_wrap=True)
    if diagnosis.parity:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in diagnosis.parity.items())
        line(f"actions  {shares}")
    units = diagnosis.plasticity
    line(f"units    {units.units} after activations, {units.dead} dead, {units.identical} identical to another")
    if (n := diagnosis.noether) is not None:
        how = f"falls as dt^{n.order:.1f}" if n.holds else "does not fall with dt: a torque acts from outside"
        line(
            f"model    angular momentum in the air changes by {n.changes[0]:.1e} at {1e3 * n.timesteps[0]:g} ms, {how}"
        )
