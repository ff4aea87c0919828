"""``eqrl watch``: the agent of a run live in a browser, with a scene and a goal to turn, and a body to push."""

# ruff: noqa: RUF009 (option() wraps dataclasses.field())
# Imports within functions are in the order in which they are needed: the page first, the scene next, the agents last.

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium
from rich.console import Console
from rich.markup import escape

from eqrl.commands.options import Parser, add_options
from eqrl.errors import UsageError, one_line, suggestion
from eqrl.runs.config import Config, convert_options, option
from eqrl.runs.packages import import_packages
from eqrl.watching.loopback import address, listen

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

    from eqrl.watching.physics import Physics
    from eqrl.watching.session import Session

_ABOUT = """Show the agent of a run live in a browser, or those of two runs on the same episodes."""
_RUN = "folder that 'eqrl train' printed"
_OTHER = "a second run, whose agent plays the same episodes beside the first one's"


@dataclass(frozen=True)
class Options:
    """Options of ``eqrl watch``."""

    port: int = option(8765, "where to watch", "port on this machine alone, 0 for any free one", metavar="P")
    rotations: int = option(12, "what to watch", "number of equally spaced angles to turn through", metavar="N")
    env: str | None = option(
        None, "what to watch", "another environment with equal spaces, such as a body never seen", metavar="ID"
    )
    env_kwargs: dict[str, Any] = option(
        {}, "what to watch", "options of the environment, besides those of the run", metavar="K:V"
    )
    member: str | None = option(None, "what to watch", "member of a fleet, by default the first", metavar="NAME")
    checkpoint: str = option("last", "what to watch", "last, best or a number of steps", metavar="WHICH")
    seed: int = option(10_000, "what to watch", "seed of the first episode")
    device: str | None = option(None, "what to watch", "PyTorch device")
    gym_packages: list[str] | None = option(
        None, "what to watch", "packages to import first because they register the environment", metavar="PACKAGE"
    )

    def __post_init__(self) -> None:
        """Convert every value.

        Raises:
            UsageError: for a value out of its range.
        """
        convert_options(self)
        if self.rotations < 1:
            raise UsageError(f"option 'rotations': {self.rotations} is too small, give at least 1")


def command(argv: Sequence[str], console: Console) -> int:
    """``eqrl watch``."""
    parser = Parser("eqrl watch", _ABOUT)
    parser.add_argument("run", metavar="RUN", help=_RUN)
    parser.add_argument("other", metavar="OTHER_RUN", nargs="?", help=_OTHER)
    add_options(parser, Options)
    given = parser.read(argv)
    runs = [run for run in (given.pop("run"), given.pop("other")) if run is not None]
    run_command(runs, Options(**given), console)
    return 0


def run_command(runs: Sequence[str], options: Options, console: Console) -> None:
    """Run ``eqrl watch`` until the viewer is closed or Ctrl-C is pressed.

    Args:
        runs: one or two.
        options: as on the command line.
        console: where to print.

    Raises:
        UsageError: for anything that the user can repair.
    """
    import_packages(options.gym_packages)
    for run in runs:
        if not Path(run).exists():
            _load(run, options)  # says what is missing, before a browser is asked to wait
    with closing(listen(options.port)) as listener, ExitStack() as opened:
        from eqrl.watching.studio import Theatre

        theatre = opened.enter_context(Theatre(listener, f"eqrl watch {' '.join(runs)}"))
        console.print(f"watch    {address(listener)}  (this machine alone; Ctrl-C ends)", markup=False, soft_wrap=True)
        session = make_session(runs, options, opened, theatre.preview)
        from eqrl.threads import simulating

        shown = " beside ".join(player.name for player in session.players)
        console.print(f"[bold]{escape(session.title)}[/] played by {escape(shown)}", soft_wrap=True)
        with simulating():
            theatre.play(session)


def make_session(
    runs: Sequence[str],
    options: Options,
    opened: ExitStack,
    preview: Callable[[Physics], None] = lambda physics: None,
) -> Session:
    """Load the agents and make an environment for each.

    Args:
        runs: one or two.
        options: as on the command line.
        opened: closes the environments.
        preview: gets the physics of the first environment, seconds before the agents are loaded.

    Raises:
        UsageError: for a run that cannot be loaded or does not fit.
    """
    from eqrl.envs.registration import ENVIRONMENTS
    from eqrl.runs.stored import find_checkpoint

    agents = []
    _, _, config = find_checkpoint(runs[0], options.checkpoint)
    if options.env is not None or options.env_kwargs or config.env not in ENVIRONMENTS:
        from eqrl.runs.transfer import in_environment

        agents.append(_load(runs[0], options))
        config = in_environment(*agents[0], options.env, options.env_kwargs)
    title, played = _member(config, options.member)
    envs = [_environment(played, opened) for _ in runs]
    from eqrl.watching.physics import physics_of

    envs[0].reset(seed=options.seed)
    preview(physics_of(envs[0]))
    agents += [_load(run, options) for run in runs[len(agents) :]]
    for other, trained in agents[1:]:
        _check_fit(other, trained, config)
    from eqrl.watching.player import Player
    from eqrl.watching.session import Session

    names = _names(runs, [str(trained.network) for _, trained in agents])
    players = [Player(name, agent, env) for name, (agent, _), env in zip(names, agents, envs, strict=True)]
    return Session(title, players, options.rotations, options.seed)


def _environment(config: Config, opened: ExitStack) -> gymnasium.Env[Any, Any]:
    """The environment of a configuration; if its physics diverges, the episode ends and the next one starts."""
    from eqrl.envs.core.divergence import watched
    from eqrl.runs.fleets import first_member

    options = first_member(config.env, {**config.env_kwargs, **config.eval_env_kwargs})
    with one_line(f"environment {config.env}"):
        env: gymnasium.Env[Any, Any] = watched(gymnasium.make(config.env, **options), "reset")
    opened.callback(env.close)
    return env


def _names(runs: Sequence[str], networks: Sequence[str]) -> list[str]:
    """What to call the agents: their networks, and where these are equal their runs too."""
    if len(set(networks)) == len(networks):
        return list(networks)
    names = [f"{network} of {Path(run).name}" for network, run in zip(networks, runs, strict=True)]
    return names if len(set(names)) == len(names) else [names[0], f"{names[1]}, again"]


def _load(run: str, options: Options) -> tuple[BaseAlgorithm, Config]:
    from eqrl.loading import load

    return load(run, options.checkpoint, options.device)


def _check_fit(model: BaseAlgorithm, trained: Config, config: Config) -> None:
    """Refuse an agent whose spaces are not those of the environment."""
    from eqrl.runs.transfer import in_environment

    options = {**config.env_kwargs, **config.eval_env_kwargs}
    in_environment(model, trained.replace(env_kwargs={}, eval_env_kwargs={}), config.env, options)


def _member(config: Config, name: str | None) -> tuple[str, Config]:
    """The environment of one member of a fleet, by default of the first, and what to call it."""
    from eqrl.runs.fleets import alone, members_of

    members = members_of(config, evaluation=True)
    if name is not None and name not in members:
        raise UsageError(
            f"option 'member': environment {config.env} has no member {name!r}; {suggestion(name, members)}"
            if members
            else f"option 'member': environment {config.env} is a single one, not a fleet; leave 'member' out"
        )
    if not members:
        return config.env, config
    name = name or members[0]
    return f"{config.env} {name}", alone(config, name)
