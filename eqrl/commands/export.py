"""``eqrl export``: the deterministic policy of a model as a file that needs neither eqrl nor Stable-Baselines3."""

# ruff: noqa: RUF009 (option() wraps dataclasses.field())

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from eqrl.agents.export import ACTION, export_policy, sizes_of, writer
from eqrl.commands.options import read_run
from eqrl.loading import load
from eqrl.runs.config import convert_options, option
from eqrl.runs.packages import import_packages
from eqrl.symmetry import representation_of

_ABOUT = """Write the deterministic policy of a run as one file that needs neither eqrl nor Stable-Baselines3."""


@dataclass(frozen=True)
class Options:
    """Options of ``eqrl export``."""

    out: str = option(
        "policy.onnx", "what to write", "file for the policy, .onnx or .pt2 (torch.export)", metavar="FILE"
    )
    checkpoint: str = option("last", "what to export", "last, best or a number of steps", metavar="WHICH")
    gym_packages: list[str] | None = option(
        None, "what to export", "packages to import first because they register the environment", metavar="PACKAGE"
    )
    config: str | None = option(
        None, "zip files of Stable-Baselines3", "the configuration that the model was trained with", metavar="FILE"
    )
    trusted: bool = option(
        False,
        "zip files of Stable-Baselines3",
        "run the code in the file: who made it can do with this computer what you can",
    )

    def __post_init__(self) -> None:
        """Convert every value."""
        convert_options(self)


def command(argv: Sequence[str], console: Console) -> int:
    """``eqrl export``."""
    run, options = read_run("eqrl export", _ABOUT, Options, argv)
    run_command(run, options, console)
    return 0


def run_command(run: str, options: Options, console: Console) -> Path:
    """Run ``eqrl export``: load, write, print.

    Raises:
        UsageError: for anything that the user can repair; the kind of file is checked before the run is loaded.
    """
    writer(Path(options.out))
    import_packages(options.gym_packages)
    model, config = load(run, options.checkpoint, "cpu", config=options.config, trusted=options.trusted)
    path = export_policy(model, options.out)
    sizes = {**sizes_of(model.observation_space), ACTION: representation_of(model.action_space).dim}
    what = f"[bold]{config.env}[/] ({config.algo}, {config.network})" if config else f"[bold]{escape(run)}[/]"
    console.print(f"{what}, {path.stat().st_size / 1024:,.0f} KiB")
    for name, size in sizes.items():
        console.print(
            f"{'output' if name == ACTION else 'input':<8} {name} (batch, {size})", markup=False, soft_wrap=True
        )
    console.print(f"policy   {path}", markup=False, soft_wrap=True)
    return path
