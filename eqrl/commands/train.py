"""``eqrl train``: begin a run, or continue one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape

from eqrl.commands.exit_codes import RESUME_ME
from eqrl.commands.options import Parser, add_options
from eqrl.errors import UsageError
from eqrl.runs.config import DEFAULT_JOB, Config, merged, read_config_file


def _about() -> str:
    """The description in ``eqrl train --help``.

    Its sentence on the default job follows from that job's configuration.
    """
    job = Config.from_dict(DEFAULT_JOB)
    low, high = job.env_kwargs["target_sector"]
    return f"""Train an agent and evaluate it on rotated worlds. Options win over those in a configuration file, and
    both win over the preset of the algorithm and environment. Without options it trains the default job:
    {job.algo.upper()} with the {job.network} network learns to run a four-legged robot to targets within one sector of
    {high - low:g} degrees, and is then tested on {job.rotations} rotations of that world."""


def command(argv: Sequence[str], console: Console) -> int:
    """``eqrl train``."""
    parser = Parser("eqrl train", _about())
    files = parser.add_argument_group("start from")
    files.add_argument("--config", metavar="FILE", help="options from a .yaml, .toml or .json file")
    files.add_argument("--resume", metavar="RUN", help="go on with the run in this folder")
    files.add_argument(
        "--new", action="store_true", help="begin another run, even if the same command was interrupted before"
    )
    add_options(parser, Config)
    given = parser.read(argv)
    file, run, new = given.pop("config"), given.pop("resume"), given.pop("new")
    if file and run:
        raise UsageError("--config and --resume exclude each other: a run folder has its configuration with it")
    if run and new:
        raise UsageError("--new and --resume exclude each other")
    if run:
        checked = Config.from_dict(given, "the command line")
        from eqrl.runs.training import resume

        changes = {name: getattr(checked, name) for name in given}
        return RESUME_ME if resume(run, console, **changes).interrupted else 0
    config = Config.from_dict(given_options(given, file), "the command line")
    from eqrl.runs.folder import unfinished
    from eqrl.runs.resolution import resolve
    from eqrl.runs.training import begin, resume

    seed_is_drawn = config.seed < 0
    config = resolve(config)
    if not (new or seed_is_drawn) and (interrupted := unfinished(config)):
        console.print(
            f"go on    {escape(str(interrupted[-1]))}: the same command was interrupted there (--new begins another"
            " run)",
            highlight=False,
        )
        return RESUME_ME if resume(interrupted[-1], console).interrupted else 0
    return RESUME_ME if begin(config, console).interrupted else 0


def given_options(given: Mapping[str, Any], file: str | None) -> dict[str, Any]:
    """The options of a training: those of the command line, of a file, and of the default job if neither names a job.

    Args:
        given: options of the command line.
        file: a configuration file, if there is one.

    Raises:
        UsageError: if the file cannot be read, or asks to import packages.
    """
    stored = read_config_file(file) if file else {}
    if stored.get("gym_packages") and "gym_packages" not in given:
        from eqrl.runs.packages import refuse_imports

        refuse_imports(Config.from_dict({"gym_packages": stored["gym_packages"]}, str(file)).gym_packages, str(file))
    default = {} if {"algo", "env", "env_kwargs"} & {*stored, *given} else DEFAULT_JOB
    return merged(default, stored, given)
