"""The command line: ``eqrl train``, ``eqrl tune``, ``eqrl evaluate`` and the others in :data:`COMMANDS`.

An error that the user can repair is one line on stderr, with exit code 2. Other exit codes: 1, a check failed; 3, a
guard stopped a training whose numbers were no longer finite; 75, a signal stopped a training, which has saved
everything and can be resumed, or a shard of its environments died; 130, Ctrl-C outside a training.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import IO, Any, cast

from rich.console import Console

from eqrl.commands.console import Unfailing, standard_output
from eqrl.commands.exit_codes import INTERRUPTED
from eqrl.errors import UsageError, suggestion
from eqrl.headless import choose_renderer

Command = Callable[[Sequence[str], Console], int]
_PYTHONS_OWN = warnings.showwarning

# each name is a module of this package with a function ``command``
COMMANDS: Mapping[str, str] = {
    "train": "train an agent and evaluate it on rotated worlds",
    "tune": "search for hyperparameters with Optuna",
    "evaluate": "play a run's agent on the same episodes under every rotation",
    "watch": "show a run's agent live in a browser: turn the scene, turn the goal, push the robot",
    "diagnose": "tell what of a run's symmetry is exact, fitted or broken",
    "export": "write a run's policy as an ONNX or torch.export file",
    "check": "derive the symmetry of a model or environment and prove it on the simulator",
    "push": "upload a run to a model hub",
    "pull": "download a run from a model hub, and check it",
}
_USAGE = """usage: eqrl COMMAND [options]

commands:
{commands}

'eqrl COMMAND --help' lists the options; 'eqrl train' without options trains the default job."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: the command and its options; by default those of the process.

    Returns:
        The exit code: 0 for success, 1 for a failed check, 2 for an error that the user can repair, 3 for a training
        that diverged, 75 for a training that a signal stopped and that can be resumed, 130 after Ctrl-C anywhere else.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    choose_renderer()
    with warnings.catch_warnings():
        if warnings.showwarning is _PYTHONS_OWN:  # otherwise somebody collects the warnings
            warnings.showwarning = _one_line_warning
        return _run(argv)


def _run(argv: list[str]) -> int:
    try:
        if not argv or argv[0] in ("-h", "--help"):
            print(_USAGE.format(commands="\n".join(f"  {name:<10} {about}" for name, about in COMMANDS.items())))
            return 0
        if argv[0] == "--version":
            print(f"eqrl {version('eqrl')}")
            return 0
        if argv[0] not in COMMANDS:
            raise UsageError(f"unknown command {argv[0]!r}; {suggestion(argv[0], COMMANDS)}")
        return _command(argv[0])(argv[1:], standard_output())
    except UsageError as error:
        print(f"eqrl: error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("eqrl: interrupted", file=sys.stderr)
        return INTERRUPTED


def _command(name: str) -> Command:
    """The function that runs a command. Its module is imported here, because importing all of them takes seconds."""
    return cast(Command, importlib.import_module(f"eqrl.commands.{name}").command)


def _one_line_warning(message: Warning | str, *where: Any, **more: Any) -> None:
    print(f"eqrl: warning: {' '.join(str(message).split())}", file=cast(IO[str], Unfailing(sys.stderr)))
