"""``eqrl push``: upload a run to a model hub."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from eqrl.commands.options import Parser, add_options
from eqrl.hub import push
from eqrl.runs.config import convert_options, option

_ABOUT = """Upload a run to a model hub: its newest and its best checkpoint, its curves and results, and a model card.
Needs eqrl[hub]; log in with 'hf auth login'."""


@dataclass(frozen=True)
class Options:
    """Options of ``eqrl push``."""

    replay: bool = option(False, "what to upload", "with the replay buffer, without which SAC and TD3 cannot resume")
    message: str | None = option(None, "what to upload", "message of the commit", metavar="TEXT")
    private: bool = option(False, "where to", "make the repository private, if it does not exist yet")
    endpoint: str | None = option(None, "where to", "address of the hub (default: huggingface.co)", metavar="URL")

    def __post_init__(self) -> None:
        """Convert every value."""
        convert_options(self)


def command(argv: Sequence[str], console: Console) -> int:
    """``eqrl push``."""
    parser = Parser("eqrl push", _ABOUT)
    parser.add_argument("run", metavar="RUN", help="folder that 'eqrl train' printed")
    parser.add_argument("repo", metavar="REPO", help="repository, owner/name; it is made if it does not exist")
    add_options(parser, Options)
    given = parser.read(argv)
    run, repo = given.pop("run"), given.pop("repo")
    options = Options(**given)

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    done = push(
        run,
        repo,
        replay=options.replay,
        private=options.private,
        endpoint=options.endpoint,
        message=options.message,
        say=say,
    )
    say(f"url      {done.url}")
    say(f"again    eqrl pull {repo}")
    return 0
