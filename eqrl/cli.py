"""The command line: ``eqrl train``, ``eqrl evaluate``, ``eqrl export``, ``eqrl check``.

Errors that a person can repair are one line on stderr and exit code 2. Other exit codes: 1, a check found something that does not
hold; 3, a guard stopped a training whose numbers were no longer finite; 75, a training was stopped by a signal, has saved everything and can be resumed; 130, Ctrl-C outside of a training.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any, cast

from rich.console import Console
from rich.markup import escape

from eqrl.config import DEFAULT_JOB, Config, merged, read_config_file
from eqrl.errors import UsageError, suggestion
from eqrl.headless import choose_renderer
from eqrl.logs import Unfailing
from eqrl.options import Parser, add_options

Command = Callable[[Sequence[str]], int]
_PYTHONS_OWN = warnings.showwarning
_INTERRUPTED = 130
RESUME_ME = 75  # EX_TEMPFAIL of sysexits.h: try again later

_TRAIN = """Train an agent and evaluate it on rotated worlds. Options win over those in a configuration file, and both win
over the preset of the algorithm and environment. Without options it trains the default job: PPO with the frame network
runs a four-legged robot to targets in one 30 degree sector, and is then tested on 12 rotations of that world."""
_EVALUATE = """Play the same episodes under every rotation with the agent of a run."""
_EXPORT = """Write the deterministic policy of a run as one file that needs neither eqrl nor Stable-Baselines3."""
_CHECK = """Derive the symmetry of a MuJoCo model, or read what an environment declares, and prove it on the simulator:
exit code 0 if all of it holds, 1 if something does not or could not be proved."""
_USAGE = """usage: eqrl COMMAND [options]

commands:
  train      train an agent and evaluate it on rotated worlds
  evaluate   play a run's agent on the same episodes under every rotation
  export     write a run's policy as an ONNX or torch.export file
  check      derive the symmetry of a model or environment and prove it on the simulator

'eqrl COMMAND --help' lists the options; 'eqrl train' without options trains the default job."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: command and options, by default those of the process.

    Returns:
        The exit code: 0, 1 if a check found something that does not hold, 2 for something that the user can repair, 3 for a training
        that diverged, 75 for one that a signal stopped and that can be resumed, 130 after Ctrl-C anywhere else.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    choose_renderer()
    with warnings.catch_warnings():
        if warnings.showwarning is _PYTHONS_OWN:  # else somebody collects them
            warnings.showwarning = _one_line_warning
        return _run(argv)


def _run(argv: list[str]) -> int:
    try:
        if not argv or argv[0] in ("-h", "--help"):
            print(_USAGE)
            return 0
        if argv[0] == "--version":
            import eqrl

            print(f"eqrl {eqrl.__version__}")
            return 0
        if argv[0] not in COMMANDS:
            raise UsageError(f"unknown command {argv[0]!r}; {suggestion(argv[0], COMMANDS)}")
        return COMMANDS[argv[0]](argv[1:])
    except UsageError as error:
        print(f"eqrl: error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("eqrl: interrupted", file=sys.stderr)
        return _INTERRUPTED


def _one_line_warning(message: Warning | str, *where: Any, **more: Any) -> None:
    print(f"eqrl: warning: {' '.join(str(message).split())}", file=cast(IO[str], Unfailing(sys.stderr)))


def train_command(argv: Sequence[str]) -> int:
    """``eqrl train``."""
    parser = Parser("eqrl train", _TRAIN)
    files = parser.add_argument_group("start from")
    files.add_argument("--config", metavar="FILE", help="options from a .yaml, .toml or .json file")
    files.add_argument("--resume", metavar="RUN", help="go on with the run in this folder")
    files.add_argument("--new", action="store_true", help="begin another run, even if the same command was interrupted before")
    add_options(parser, Config)
    given = parser.read(argv)
    file, run, new = given.pop("config"), given.pop("resume"), given.pop("new")
    if file and run:
        raise UsageError("--config and --resume exclude each other: a run folder has its configuration with it")
    if run and new:
        raise UsageError("--new and --resume exclude each other")
    if run:
        checked = Config.from_dict(given, "the command line")
        from eqrl.train import resume

        changes = {name: getattr(checked, name) for name in given}
        return RESUME_ME if resume(run, _console(), **changes).interrupted else 0
    stored = read_config_file(file) if file else {}
    if stored.get("gym_packages") and "gym_packages" not in given:
        from eqrl.build import refuse_imports

        refuse_imports(Config.from_dict({"gym_packages": stored["gym_packages"]}, file).gym_packages, file)
    default = {} if {"algo", "env", "env_kwargs"} & {*stored, *given} else DEFAULT_JOB
    config = Config.from_dict(merged(default, stored, given), "the command line")
    from eqrl.build import resolve
    from eqrl.run_folder import unfinished
    from eqrl.train import resume, train

    console, drawn = _console(), config.seed < 0
    config = resolve(config)
    if not (new or drawn) and (found := unfinished(config)):
        console.print(
            f"go on    {escape(str(found[-1]))}: the same command was interrupted there (--new begins another run)",
            highlight=False,
        )
        return RESUME_ME if resume(found[-1], console).interrupted else 0
    return RESUME_ME if train(config, console).interrupted else 0


def evaluate_command(argv: Sequence[str]) -> int:
    """``eqrl evaluate``."""
    from eqrl.evaluate import Options, run_command

    parser = Parser("eqrl evaluate", _EVALUATE)
    parser.add_argument("run", metavar="RUN", help="folder that 'eqrl train' printed, or a .zip file of Stable-Baselines3")
    add_options(parser, Options)
    given = parser.read(argv)
    run = given.pop("run")
    run_command(run, Options(**given), _console())
    return 0


def export_command(argv: Sequence[str]) -> int:
    """``eqrl export``."""
    from eqrl.export import Options, run_command

    parser = Parser("eqrl export", _EXPORT)
    parser.add_argument("run", metavar="RUN", help="folder that 'eqrl train' printed, or a .zip file of Stable-Baselines3")
    add_options(parser, Options)
    given = parser.read(argv)
    run = given.pop("run")
    run_command(run, Options(**given), _console())
    return 0


def check_command(argv: Sequence[str]) -> int:
    """``eqrl check``."""
    from eqrl.check import Options, run_command

    parser = Parser("eqrl check", _CHECK)
    parser.add_argument("target", metavar="TARGET", help="id of an environment, or an .xml, .mjcf or .mjb file")
    add_options(parser, Options)
    given = parser.read(argv)
    return run_command(given.pop("target"), given, _console())


def _console() -> Console:
    return Console(highlight=False, file=cast(IO[str], Unfailing(sys.stdout)))


COMMANDS: Mapping[str, Command] = {
    "train": train_command,
    "evaluate": evaluate_command,
    "export": export_command,
    "check": check_command,
}
