"""``eqrl evaluate``, and :func:`evaluate` from Python.

Play the same episodes under every rotation with the agent of a run.
"""

# ruff: noqa: RUF009 (option() wraps dataclasses.field())

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from stable_baselines3.common.base_class import BaseAlgorithm

from eqrl.commands.options import check_file, read_run
from eqrl.commands.tables import print_table
from eqrl.errors import UsageError
from eqrl.evaluation.figures import plot_zero_shot, sector_width
from eqrl.evaluation.protocol import ZeroShot
from eqrl.loading import load
from eqrl.runs.config import Config, convert_options, option
from eqrl.runs.fleets import member_options, members_of
from eqrl.runs.packages import import_packages
from eqrl.runs.transfer import evaluate_unseen, in_environment
from eqrl.runs.zero_shot import evaluate_model, write_json

_ABOUT = """Play the same episodes under every rotation with the agent of a run."""


@dataclass(frozen=True)
class Options:
    """Options of ``eqrl evaluate``."""

    rotations: int = option(12, "what to evaluate", "number of equally spaced angles", metavar="N")
    episodes: int = option(20, "what to evaluate", "episodes at each angle", metavar="N")
    protocol: Literal["scene", "goal"] = option(
        "scene", "what to evaluate", "turn the whole scene (an exact agent loses nothing) or the goal only"
    )
    env: str | None = option(
        None, "what to evaluate", "another environment with equal spaces, such as a body never seen", metavar="ID"
    )
    env_kwargs: dict[str, Any] = option(
        {}, "what to evaluate", "options of the environment, besides those of the run", metavar="K:V"
    )
    unseen: bool = option(False, "what to evaluate", "play the unseen bodies that belong to the environment trained on")
    checkpoint: str = option("last", "what to evaluate", "last, best or a number of steps", metavar="WHICH")
    seed: int = option(
        10_000, "what to evaluate", "seed of the first episode; the same episodes are played at every angle"
    )
    num_threads: int | None = option(None, "what to evaluate", "threads for simulation and PyTorch", metavar="N")
    device: str | None = option(None, "what to evaluate", "PyTorch device")
    gym_packages: list[str] | None = option(
        None, "what to evaluate", "packages to import first because they register the environment", metavar="PACKAGE"
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
    plot: str | None = option(None, "what to write", "file for a polar figure, .png, .svg or .pdf", metavar="FILE")
    video: str | None = option(None, "what to write", "file for a short film, .mp4 or .gif", metavar="FILE")

    def __post_init__(self) -> None:
        """Convert every value.

        Raises:
            UsageError: for options that exclude each other.
        """
        convert_options(self)
        if self.unseen and (self.env is not None or self.env_kwargs):
            raise UsageError("--unseen plays environments of its own; leave out --env and --env-kwargs, or --unseen")
        if self.unseen and self.video:
            raise UsageError("--video films one environment; give one of the unseen ones with --env ID")


def evaluate(
    run: str | Path,
    *,
    rotations: int = 12,
    episodes: int = 20,
    protocol: Literal["scene", "goal"] = "scene",
    checkpoint: str | int = "last",
    seed: int = 10_000,
    device: str | None = None,
    env: str | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    unseen: bool = False,
    config: Config | str | Path | None = None,
    trusted: bool = False,
) -> ZeroShot:
    """Play the same episodes under every rotation with the agent of a run.

    Args:
        run: a run folder, or a ``.zip`` file of Stable-Baselines3.
        rotations: number of equally spaced angles, beginning with 0.
        episodes: episodes at each angle.
        protocol: ``"scene"`` turns goal and initial state together, ``"goal"`` the goal only.
        checkpoint: ``"last"``, ``"best"`` or a number of steps.
        seed: of the first episode.
        device: PyTorch device; by default the run's.
        env: id of another environment with equal spaces, such as a body never seen; by default the run's.
        env_kwargs: options of the environment, besides those of the run.
        unseen: play the unseen bodies that belong to the run's environment; ``members`` of the result holds each.
        config: for a ``.zip`` file, the configuration that it was trained with, or a file that holds it.
        trusted: for a ``.zip`` file, **run the code in it**, see :func:`eqrl.load`.

    Raises:
        UsageError: if there is no model, its environment cannot be turned, or the spaces of another one differ.
    """
    model, run_config = load_with_config(run, checkpoint, device, config, trusted)
    how: Any = {"rotations": rotations, "episodes": episodes, "protocol": protocol, "seed": seed}
    if unseen:
        return evaluate_unseen(model, run_config, **how)
    return evaluate_model(model, in_environment(model, run_config, env, env_kwargs), **how)


def table(result: ZeroShot, console: Console, kind: str = "member") -> None:
    """Print a table with a row for each angle, and for a fleet a second one with a row for each member.

    Args:
        result: the numbers.
        console: where to print.
        kind: what the members of the result are called.
    """
    what = (
        f"{result.protocol} turned, {{}} episodes at each angle"
        if len(result.angles_deg) > 1
        else "not turned, {} episodes"
    )
    columns = Table(title=what.format(result.returns.shape[1]), title_justify="left")
    for name in ("angle", "return", "success", "95% interval", "retention", "equivariance error"):
        columns.add_column(name, justify="right")
    intervals = result.success_interval()
    for i, angle in enumerate(result.angles_deg):
        columns.add_row(
            f"{angle:.0f}°",
            f"{result.mean_return[i]:.2f}",
            "-" if result.success is None else f"{result.success[i]:.2f}",
            "-" if intervals is None else f"{intervals[i][0]:.2f} .. {intervals[i][1]:.2f}",
            "-" if result.retention is None else f"{result.retention[i]:.2f}",
            "-" if result.equivariance_error is None else f"{result.equivariance_error[i]:.1e}",
        )
    print_table(console, columns)
    if result.members:
        _by_member(result, console, kind)


def _by_member(result: ZeroShot, console: Console, kind: str) -> None:
    columns = Table(title=f"by {kind}, over all angles", title_justify="left")
    columns.add_column(kind)
    for name in ("return", "success", "least success", "least retention", "equivariance error"):
        columns.add_column(name, justify="right")
    for name, member in result.members.items():
        numbers = member.summary()
        columns.add_row(
            escape(name),
            f"{numbers['return']:.2f}",
            f"{numbers['success']:.2f}" if "success" in numbers else "-",
            "-" if member.success is None else f"{member.success.min():.2f}",
            f"{numbers['retention_min']:.2f}" if "retention_min" in numbers else "-",
            f"{numbers['equivariance_error']:.1e}" if "equivariance_error" in numbers else "-",
        )
    print_table(console, columns)


def command(argv: Sequence[str], console: Console) -> int:
    """``eqrl evaluate``."""
    run, options = read_run("eqrl evaluate", _ABOUT, Options, argv)
    run_command(run, options, console)
    return 0


def run_command(run: str, options: Options, console: Console) -> ZeroShot:
    """Run ``eqrl evaluate``: load, play, print, write.

    Raises:
        UsageError: for anything that the user can repair; output files are checked before any episode is played.
    """
    check_file(options.json, (".json",))
    check_file(options.plot, (".png", ".svg", ".pdf"))
    check_file(options.video, (".mp4", ".gif"))
    import_packages(options.gym_packages)
    if options.num_threads is not None:
        torch.set_num_threads(options.num_threads)
    model, config = load_with_config(run, options.checkpoint, options.device, options.config, options.trusted)
    config = config.replace(num_threads=options.num_threads or config.num_threads)
    if not options.unseen:
        config = in_environment(model, config, options.env, options.env_kwargs)
    console.print(
        f"[bold]{config.env}[/]{', unseen bodies,' * options.unseen} played by {escape(str(run))} ({config.algo},"
        f" {config.network})",
        soft_wrap=True,
    )
    play = evaluate_unseen if options.unseen else evaluate_model
    result = play(
        model,
        config,
        rotations=options.rotations,
        episodes=options.episodes,
        protocol=options.protocol,
        seed=options.seed,
    )
    table(result, console, "unseen body" if options.unseen else "member")
    if options.json:
        extra = {"run": str(run), "env": config.env, "algo": config.algo, "network": config.network}
        write_json(
            result,
            options.json,
            **extra,
            checkpoint=options.checkpoint,
            timesteps=model.num_timesteps,
            seed=options.seed,
        )
        console.print(f"numbers  {options.json}", markup=False, soft_wrap=True)
    if options.plot:
        curves = result.members or {str(config.network): result}
        plot_zero_shot(curves, options.plot, title=config.env, width=sector_width(config.env_kwargs))
        console.print(f"figure   {options.plot}", markup=False, soft_wrap=True)
    if options.video:
        from eqrl.evaluation.video import record

        record(
            model,
            config.env,
            {**config.env_kwargs, **config.eval_env_kwargs},
            options.video,
            protocol=options.protocol,
            seed=options.seed,
            members={name: member_options(config, name) for name in members_of(config, evaluation=True)},
        )
        console.print(f"video    {options.video}", markup=False, soft_wrap=True)
    return result


def load_with_config(
    run: str | Path, checkpoint: str | int, device: str | None, config: Config | str | Path | None, trusted: bool
) -> tuple[BaseAlgorithm, Config]:
    """A model, and the configuration of the environment to play it in.

    Raises:
        UsageError: for a trusted zip file without a configuration: only its pickled code knows the environment.
    """
    if Path(run).suffix == ".zip" and config is None and trusted:
        raise UsageError(
            f"{run} does not say which environment to play; give --config FILE with the one that it was trained in"
        )
    model, run_config = load(run, checkpoint, device, config=config, trusted=trusted)
    assert run_config is not None  # only a zip file without configuration has none
    return model, run_config
