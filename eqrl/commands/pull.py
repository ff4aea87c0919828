"""``eqrl pull``: download a run from a model hub, and check it."""

# ruff: noqa: RUF009 (option() wraps dataclasses.field())

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from eqrl.commands.options import Parser, add_options
from eqrl.hub import pull
from eqrl.runs.config import convert_options, option
from eqrl.runs.packages import import_packages

_ABOUT = """Download a run from a model hub. Its files are compared with their checksums and loaded before the folder
is moved in place, and nothing in them is executed. Needs eqrl[hub]."""


@dataclass(frozen=True)
class Options:
    """Options of ``eqrl pull``."""

    to: str | None = option(None, "where to", "run folder (default: the name of the repository)", metavar="FOLDER")
    revision: str | None = option(None, "what to download", "branch, tag or commit", metavar="NAME")
    endpoint: str | None = option(
        None, "what to download", "address of the hub (default: huggingface.co)", metavar="URL"
    )
    gym_packages: list[str] | None = option(
        None, "what to download", "packages to import first because they register the environment", metavar="PACKAGE"
    )

    def __post_init__(self) -> None:
        """Convert every value."""
        convert_options(self)


def command(argv: Sequence[str], console: Console) -> int:
    """``eqrl pull``."""
    parser = Parser("eqrl pull", _ABOUT)
    parser.add_argument("repo", metavar="REPO", help="repository, owner/name")
    add_options(parser, Options)
    given = parser.read(argv)
    repo = given.pop("repo")
    options = Options(**given)
    import_packages(options.gym_packages)

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    done = pull(repo, options.to, revision=options.revision, endpoint=options.endpoint, say=say)
    config = done.config
    say(f"run      {done.path}  ({config.env} with {config.algo}, network {config.network})")
    say(f"commit   {done.revision}")
    if done.left_out:
        say(f"left     {', '.join(done.left_out)}: not part of a run")
    say(f"evaluate eqrl evaluate {done.path}")
    if done.resumable:
        say(f"resume   eqrl train --resume {done.path} -n STEPS")
    return 0
