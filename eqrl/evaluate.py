"""Evaluate a run on rotated worlds: ``python -m eqrl.evaluate RUN``, ``eqrl evaluate RUN``, or :func:`evaluate`."""

# ruff: noqa: RUF009 (option() is dataclasses.field() with a name of its own)

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from stable_baselines3.common.base_class import BaseAlgorithm

from eqrl.build import make_env, turnable
from eqrl.checkpoint.files import write_whole
from eqrl.config import Config, convert_options, option
from eqrl.errors import UsageError
from eqrl.loading import load
from eqrl.protocol import ZeroShot, zero_shot
from eqrl.tables import print_table


@dataclass(frozen=True)
class Options:
    """Options of ``eqrl evaluate``."""

    rotations: int = option(12, "what to evaluate", "number of equally spaced angles", metavar="N")
    episodes: int = option(20, "what to evaluate", "episodes at each angle", metavar="N")
    protocol: Literal["scene", "goal"] = option(
        "scene", "what to evaluate", "turn the whole scene (an exact agent loses nothing) or the goal only"
    )
    checkpoint: str = option("last", "what to evaluate", "last, best or a number of steps", metavar="WHICH")
    seed: int = option(10_000, "what to evaluate", "seed of the first episode; the same episodes are played at every angle")
    num_threads: int | None = option(None, "what to evaluate", "threads for simulation and PyTorch", metavar="N")
    device: str | None = option(None, "what to evaluate", "PyTorch device")
    gym_packages: list[str] | None = option(
        None, "what to evaluate", "packages to import first because they register the environment", metavar="PACKAGE"
    )
    config: str | None = option(
        None, "zip files of Stable-Baselines3", "the configuration that the model was trained with", metavar="FILE"
    )
    trusted: bool = option(
        False, "zip files of Stable-Baselines3", "run the code in the file: who made it can do with this computer what you can"
    )
    json: str | None = option(None, "what to write", "file for the numbers", metavar="FILE")
    plot: str | None = option(None, "what to write", "file for a polar figure, .png, .svg or .pdf", metavar="FILE")
    video: str | None = option(None, "what to write", "file for a short film, .mp4 or .gif", metavar="FILE")

    def __post_init__(self) -> None:
        """Convert every value."""
        convert_options(self)


def evaluate(
    run: str | Path,
    *,
    rotations: int = 12,
    episodes: int = 20,
    protocol: Literal["scene", "goal"] = "scene",
    checkpoint: str | int = "last",
    seed: int = 10_000,
    device: str | None = None,
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
        device: PyTorch device, the run's own by default.
        config: for a ``.zip`` file, the configuration that it was trained with, or a file that holds it.
        trusted: for a ``.zip`` file, **run the code in it**, see :func:`eqrl.load`.

    Raises:
        UsageError: if there is no model, or its environment cannot be turned.
    """
    model, found = _load(run, checkpoint, device, config, trusted)
    return evaluate_model(model, found, rotations=rotations, episodes=episodes, protocol=protocol, seed=seed)


def evaluate_model(
    model: BaseAlgorithm,
    config: Config,
    *,
    rotations: int,
    episodes: int,
    protocol: Literal["scene", "goal"],
    seed: int = 10_000,
) -> ZeroShot:
    """As :func:`evaluate`, for a model in memory and the configuration of its environment."""
    for name, value in (("rotations", rotations), ("episodes", episodes)):
        if value < 1:
            raise UsageError(f"option {name!r}: {value} is too small, give at least 1")
    if protocol not in ("scene", "goal"):
        raise UsageError(f"option 'protocol': expected scene or goal, got {protocol!r}")
    make = partial(make_env, config, evaluation=True)
    return zero_shot(model, make, rotations, episodes, protocol, seed, turnable(config))


def table(result: ZeroShot, console: Console) -> None:
    """Print a result: a row for each angle."""
    what = (
        f"{result.protocol} turned, {{}} episodes at each angle" if len(result.angles_deg) > 1 else "not turned, {} episodes"
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


def write_json(result: ZeroShot, path: str | Path, **extra: Any) -> None:
    """Write the numbers, as a whole or not at all."""
    write_whole(Path(path), json.dumps({**result.to_json(), **extra}, indent=2) + "\n")


def run_command(run: str, options: Options, console: Console) -> ZeroShot:
    """What ``eqrl evaluate`` does: load, play, print, write.

    Raises:
        UsageError: for anything that the user can repair; files are checked before the episodes are played.
    """
    from eqrl.build import import_packages
    from eqrl.report import plot_zero_shot, sector_width

    check_file(options.json, (".json",))
    check_file(options.plot, (".png", ".svg", ".pdf"))
    check_file(options.video, (".mp4", ".gif"))
    import_packages(options.gym_packages)
    if options.num_threads is not None:
        torch.set_num_threads(options.num_threads)
    model, config = _load(run, options.checkpoint, options.device, options.config, options.trusted)
    config = config.replace(num_threads=options.num_threads or config.num_threads)
    console.print(f"[bold]{config.env}[/] played by {escape(str(run))} ({config.algo}, {config.network})", soft_wrap=True)
    result = evaluate_model(
        model, config, rotations=options.rotations, episodes=options.episodes, protocol=options.protocol, seed=options.seed
    )
    table(result, console)
    if options.json:
        extra = {"run": str(run), "env": config.env, "algo": config.algo, "network": config.network}
        write_json(
            result, options.json, **extra, checkpoint=options.checkpoint, timesteps=model.num_timesteps, seed=options.seed
        )
        console.print(f"numbers  {options.json}", markup=False, soft_wrap=True)
    if options.plot:
        plot_zero_shot({str(config.network): result}, options.plot, title=config.env, width=sector_width(config.env_kwargs))
        console.print(f"figure   {options.plot}", markup=False, soft_wrap=True)
    if options.video:
        from eqrl.video import record

        record(
            model,
            config.env,
            {**config.env_kwargs, **config.eval_env_kwargs},
            options.video,
            protocol=options.protocol,
            seed=options.seed,
        )
        console.print(f"video    {options.video}", markup=False, soft_wrap=True)
    return result


def _load(
    run: str | Path, checkpoint: str | int, device: str | None, config: Config | str | Path | None, trusted: bool
) -> tuple[BaseAlgorithm, Config]:
    """A model and the environment to play it in.

    Raises:
        UsageError: if only code in a file would know the environment.
    """
    if Path(run).suffix == ".zip" and config is None and trusted:
        raise UsageError(
            f"{run} does not say which environment to play; give --config FILE with the one that it was trained in"
        )
    model, found = load(run, checkpoint, device, config=config, trusted=trusted)
    assert found is not None  # only a zip file without configuration has none
    return model, found


def check_file(path: str | None, suffixes: tuple[str, ...]) -> None:
    """Refuse a kind of file that cannot be written, before any work is done.

    Raises:
        UsageError: naming the kinds that can.
    """
    if path is not None and Path(path).suffix not in suffixes:
        raise UsageError(f"file {path}: unknown kind {Path(path).suffix!r}; use {', '.join(suffixes)}")


if __name__ == "__main__":
    from eqrl.cli import main

    sys.exit(main(["evaluate", *sys.argv[1:]]))
