"""``eqrl check``: derive the symmetry of a model or environment and prove it; :func:`check` does it from Python."""

# ruff: noqa: RUF009 (option() wraps dataclasses.field())

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

import gymnasium
import mujoco
from rich.console import Console

from eqrl.commands.check_report import Report, print_report, write_json
from eqrl.commands.effective_report import EffectiveReport, print_effective
from eqrl.commands.options import Parser, add_options, check_file
from eqrl.derivation import Derivation, derive
from eqrl.discovery import Transitions, discover, discover_in_data
from eqrl.errors import UsageError, one_line
from eqrl.proof import NonFiniteRolloutError, Verdicts
from eqrl.proof.declarations import declaring_layer
from eqrl.proof.model import generators_of
from eqrl.proof.silence import silenced
from eqrl.proof.tasks import is_mujoco_env
from eqrl.proof.verify import is_typed_world, verify
from eqrl.runs.config import convert_options, option
from eqrl.runs.environments import check_environment_id, typed_env
from eqrl.runs.packages import import_packages
from eqrl.symmetry import Representation, representation_of

_ABOUT = """Derive the symmetry of a MuJoCo model, or read what an environment declares, and prove it on the simulator:
exit code 0 if all of it holds, 1 if something does not or could not be proved. With --accept, find the group that holds
up to a breaking of this size, near misses and decoys included; with --from-data, from logged transitions alone."""
_ACCEPT = 0.05
MODEL_FILES = (".xml", ".mjcf", ".mjb")


@dataclass(frozen=True)
class Options:
    """Options of ``eqrl check``."""

    level: Literal["kinematic", "dynamic"] = option(
        "dynamic", "what to prove", "tree, joints and shapes only, or masses, gains and friction too"
    )
    tolerance: float = option(
        1e-8, "what to prove", "how far a state may be from its image; where a robot is chaotic, more"
    )
    states: int = option(24, "what to prove", "random states to start from", metavar="N")
    seed: int = option(0, "what to prove", "seed of states and controls")
    env_kwargs: dict[str, Any] = option({}, "what to prove", "options of the environment", metavar="KEY:VALUE")
    gym_packages: list[str] | None = option(
        None, "what to prove", "packages to import first because they register the environment", metavar="PACKAGE"
    )
    accept: float | None = option(
        None,
        "what to discover",
        "largest breaking to accept, relative to what changes in a step: find the group that holds up to it"
        " (with --from-data by default 0.05)",
    )
    from_data: str | None = option(
        None, "what to discover", "transitions to judge by, in place of a simulator, .npz", metavar="FILE"
    )
    env: str | None = option(
        None, "what to discover", "environment whose typed spaces say how the data of --from-data turn", metavar="ID"
    )
    json: str | None = option(None, "what to write", "file for the numbers", metavar="FILE")

    def __post_init__(self) -> None:
        """Convert every value.

        Raises:
            UsageError: for a value of the wrong type or size.
        """
        convert_options(self)
        if not 0.0 < self.tolerance < math.inf:
            raise UsageError(f"option 'tolerance': {self.tolerance:g} is not a positive number")
        if self.states < 1:
            raise UsageError(f"option 'states': {self.states} is too small, give at least 1")
        if self.accept is not None and not 0.0 < self.accept < math.inf:
            raise UsageError(f"option 'accept': {self.accept:g} is not a positive number")
        if self.env is not None and self.from_data is None:
            raise UsageError("option 'env' belongs to --from-data; without data, name the environment as TARGET")


def check(target: str | Path, **options: Any) -> Report:
    """Derive the symmetry of a model, or read what an environment declares, and prove it.

    Args:
        target: id of an environment, or an ``.xml``, ``.mjcf`` or ``.mjb`` file.
        options: fields of :class:`Options`.

    Raises:
        UsageError: for an unknown environment or a file that is not a model.
    """
    chosen = Options(**options)
    if chosen.accept is not None or chosen.from_data is not None:
        raise UsageError("options 'accept' and 'from_data' find an effective group; call effective_group() with them")
    with warnings.catch_warnings(), silenced():
        # warnings about deprecated attributes and versions: whoever checks a model may not be its author
        warnings.simplefilter("ignore")
        return (_check_model if _is_file(str(target)) else _check_env)(str(target), chosen)


def effective_group(target: str | Path | None = None, **options: Any) -> EffectiveReport:
    """Find the group that a world obeys up to an accepted breaking, with the simulator or from logged transitions.

    Args:
        target: id of an environment, or a model file; None with ``from_data``.
        options: fields of :class:`Options`, ``accept`` and ``from_data`` among them.

    Raises:
        UsageError: for an unknown environment, a file that is not a model, or data that lack what is needed.
    """
    chosen = Options(**options)
    accept = chosen.accept if chosen.accept is not None else _ACCEPT
    common: dict[str, Any] = {"accept": accept, "seed": chosen.seed}
    with warnings.catch_warnings(), silenced():
        warnings.simplefilter("ignore")
        if chosen.from_data is not None:
            if target is not None:
                raise UsageError(f"--from-data takes no TARGET; did you mean --env {target}?")
            log = Transitions.read(chosen.from_data)
            with one_line(f"file {chosen.from_data}"):
                return EffectiveReport(chosen.from_data, discover_in_data(log, _typed_spaces(chosen), **common))
        if target is None:
            raise UsageError("give a TARGET, the id of an environment or a model file, or --from-data FILE")
        name = str(target)
        if _is_file(name):
            try:
                return EffectiveReport(name, discover(name, transitions=chosen.states, **common))
            except (FileNotFoundError, ValueError) as error:
                raise UsageError(f"{name}: {_without_path(str(error), name)}") from None
        with closing(_made(name, chosen)) as env, one_line(f"environment {name}"):
            return EffectiveReport(name, discover(env, transitions=chosen.states, **common))


def _typed_spaces(options: Options) -> tuple[Representation, Representation] | None:
    """What the environment of ``--env`` declares."""
    if options.env is None:
        return None
    with closing(_made(options.env, options)) as env:
        layer: Any = declaring_layer(env, actions=True)
        if layer is None:
            with one_line(f"environment {options.env}"):
                layer = typed_env(env, options.env)
        return representation_of(layer.observation_space), representation_of(layer.action_space)


def _made(target: str, options: Options) -> gymnasium.Env[Any, Any]:
    import_packages(options.gym_packages)
    check_environment_id(target)
    with one_line(f"environment {target}"):
        return gymnasium.make(target, **options.env_kwargs)


def _is_file(target: str) -> bool:
    return Path(target).suffix.lower() in MODEL_FILES or Path(target).is_file()


def _check_model(target: str, options: Options) -> Report:
    try:
        derivation = derive(target)
    except (FileNotFoundError, ValueError) as error:
        raise UsageError(f"{target}: {_without_path(str(error), target)}") from None
    return _derived(target, derivation.model, derivation, options)


def _check_env(target: str, options: Options) -> Report:
    env = _made(target, options)
    try:
        if is_typed_world(env):
            return _typed(target, env, options)
        world: Any = env.unwrapped
        if not is_mujoco_env(world):
            raise UsageError(
                f"environment {target}: it has neither a MuJoCo model nor typed spaces and a state that can be set, so"
                " that no symmetry can be tried on it"
            )
        return _derived(target, env, derive(world.model), options)
    finally:
        env.close()


def _typed(target: str, env: gymnasium.Env[Any, Any], options: Options) -> Report:
    layer = declaring_layer(env)
    assert layer is not None  # is_typed_world has seen it
    group = representation_of(layer.observation_space).group
    with one_line(f"environment {target}"):
        verdicts = verify(env, states=options.states, seed=options.seed, tolerance=options.tolerance)
    return Report(target, group.name, int(group.cosets.R.shape[0]), verdicts)


def _derived(
    target: str, subject: mujoco.MjModel | gymnasium.Env[Any, Any], derivation: Derivation, options: Options
) -> Report:
    common: dict[str, Any] = {"states": options.states, "seed": options.seed, "tolerance": options.tolerance}
    misses = derivation.near_misses
    verdicts, tried, reason = Verdicts(), Verdicts(), ""
    try:
        verdicts = verify(subject, derivation, level=options.level, **common)
        # no diagnosis: their causes are the differences that the derivation lists
        tried = verify(derivation.model, [m.symmetry for m in misses], diagnosing=False, **common) if misses else tried
    except NonFiniteRolloutError as error:
        reason = str(error)
    generators = generators_of(derivation, options.level)
    return Report(
        target,
        derivation.group(options.level).name,
        derivation.order(options.level),
        verdicts,
        tuple(zip_longest(misses, tried)),
        (*map(str, derivation.exchangeable(options.level)), *derivation.world.reasons, *derivation.notes),
        () if verdicts else tuple((g.name, g.kind) for g in generators),
        reason,
    )


def command(argv: Sequence[str], console: Console) -> int:
    """``eqrl check``."""
    parser = Parser("eqrl check", _ABOUT)
    what = "id of an environment, or an .xml, .mjcf or .mjb file; left out with --from-data"
    parser.add_argument("target", metavar="TARGET", nargs="?", help=what)
    add_options(parser, Options)
    given = parser.read(argv)
    return run_command(given.pop("target"), given, console)


def run_command(target: str | None, options: Mapping[str, Any], console: Console) -> int:
    """Run ``eqrl check``: check, print, write.

    Returns:
        0 if everything that is declared or derived holds, 1 if something fails or could not be proved.

    Raises:
        UsageError: for anything that the user can repair.
    """
    chosen = Options(**options)
    check_file(chosen.json, (".json",))
    report: Report | EffectiveReport
    if target is None or chosen.accept is not None or chosen.from_data is not None:
        report = effective_group(target, **options)
        print_effective(report, console)
    else:
        report = check(target, **options)
        print_report(report, console)
    if chosen.json:
        write_json(report, chosen.json)
        console.print(f"numbers  {chosen.json}", markup=False, soft_wrap=True)
    return 0 if report.holds else 1


def _without_path(text: str, target: str) -> str:
    return text.removeprefix(f"{target}: ").strip() or "MuJoCo cannot read it"
