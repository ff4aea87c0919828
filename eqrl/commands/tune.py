"""``eqrl tune``: search for hyperparameters with Optuna; what ends is written as a configuration for ``eqrl train``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from eqrl.agents.presets import search_space
from eqrl.commands.exit_codes import RESUME_ME
from eqrl.commands.options import Parser, add_options
from eqrl.commands.train import given_options
from eqrl.errors import UsageError
from eqrl.files.plain_files import read_plain_file
from eqrl.runs.config import Config, convert_options, hints, option
from eqrl.runs.environments import check_environment_id
from eqrl.runs.packages import import_packages
from eqrl.tuning.session import Tuned
from eqrl.tuning.setup import Setup
from eqrl.tuning.space import Space
from eqrl.tuning.tune import tune

_ABOUT = """Search for hyperparameters with Optuna. Trials are ordinary training runs, and those that fall behind in
their evaluations are stopped. The same command goes on with a study that was interrupted or killed, and several
processes may give it at the same time. Needs eqrl[tune]. All options of 'eqrl train' are options of the trials."""


@dataclass(frozen=True)
class Options:
    """Options of ``eqrl tune`` besides those of a training."""

    trials: int = option(
        50, "study", "trials of the study in all, those of earlier sessions and other processes included", metavar="N"
    )
    study: str | None = option(
        None, "study", "its folder (default: tune/<algorithm>_<environment> in the log folder)", metavar="FOLDER"
    )
    space: str | None = option(
        None, "study", "search space, a .yaml, .toml or .json file (default: eqrl's for the algorithm)", metavar="FILE"
    )
    objective: Literal["return", "success"] = option(
        "return", "study", "what to maximise, the mean over the episodes of the last evaluation"
    )
    pruner: Literal["median", "none"] = option(
        "median", "study", "median stops a trial that is worse than half of the others after as many evaluations"
    )
    engine: Literal["local", "ray"] = option(
        "local",
        "study",
        "what runs the trials: this process, one after the other; or ray, side by side, as many as it has CPUs for",
    )
    startup_trials: int = option(
        10, "study", "trials with random options, before proposals and pruning begin", metavar="N"
    )

    def __post_init__(self) -> None:
        """Convert every value.

        Raises:
            UsageError: for a value of the wrong type or size.
        """
        convert_options(self)
        for name in ("trials", "startup_trials"):
            if getattr(self, name) < 1:
                raise UsageError(f"option {name!r}: {getattr(self, name)} is too small, give at least 1")


def command(argv: Sequence[str], console: Console) -> int:
    """``eqrl tune``."""
    parser = Parser("eqrl tune", _ABOUT)
    parser.add_argument("--config", metavar="FILE", help="options of the trials from a .yaml, .toml or .json file")
    add_options(parser, Options)
    add_options(parser, Config)
    given = parser.read(argv)
    file = given.pop("config")
    options = Options(**{name: given.pop(name) for name in hints(Options) if name in given})
    return RESUME_ME if run_command(given_options(given, file), options, console).interrupted else 0


def run_command(training: Mapping[str, Any], options: Options, console: Console) -> Tuned:
    """Run ``eqrl tune``: search, print, write.

    Args:
        training: options of ``eqrl train`` for all trials.
        options: how to search.
        console: where progress is printed.

    Raises:
        UsageError: for anything that the user can repair; everything is checked before the first trial.
    """
    config = Config.from_dict(training, "the command line")
    if config.seed < 0:
        raise UsageError(
            f"option 'seed': {config.seed} is drawn anew each time; a study that may go on needs a fixed one"
        )
    import_packages(config.gym_packages)
    check_environment_id(config.env)
    content = read_plain_file(Path(options.space), "search space") if options.space else None
    source = options.space or f"of {config.algo}"
    space = Space.read(search_space(config.algo, config.env) if content is None else content, config.algo, source)
    setup = Setup(training, space, options.objective, options.pruner, options.startup_trials)
    name = f"{config.algo}_{config.env.split(':')[-1].replace('/', '-')}"
    folder = Path(options.study) if options.study else Path(config.log_folder) / "tune" / name
    return tune(setup, folder, options.trials, console, options.engine)
