"""Prove a symmetry on the simulator: of a model, with what it derives or what is declared, or of an environment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import gymnasium
import mujoco

from eqrl.derivation.derivation import Derivation
from eqrl.derivation.derive import derive, load
from eqrl.derivation.discrepancy import Level
from eqrl.derivation.symmetry import Symmetry
from eqrl.proof.declarations import declared_world, declaring_layer
from eqrl.proof.model import ROTATION, generators_of, prove
from eqrl.proof.silence import silenced
from eqrl.proof.tasks import TaskProof, is_mujoco_env
from eqrl.proof.typed import prove_world
from eqrl.proof.verdict import Verdicts
from eqrl.symmetry.group import Group

_STATES_PER_EPISODE = 4  # an episode of an environment has random steps before it, and costs as much as several states

Target: TypeAlias = mujoco.MjModel | mujoco.MjSpec | str | Path | gymnasium.Env[Any, Any]


@silenced()
def verify(
    target: Target,
    symmetries: Derivation | Group | Symmetry | Iterable[Symmetry] | None = None,
    *,
    level: Level = "dynamic",
    states: int = 24,
    steps: Sequence[int] = (1, 10, 50),
    seed: int = 0,
    tolerance: float = 1e-8,
    diagnosing: bool = True,
) -> Verdicts:
    """Step the simulator from related states and compare.

    From random states that make contact and with random controls, a model is stepped as it is and transformed, with a
    cold, converged solver and collider; remarks say what its own leave of the symmetry. The rotation about gravity is
    tried at 37 degrees, and where it holds, every other generator is tried together with it. Where a robot is chaotic,
    100 times the divergence after a nudge of 1e-14 is allowed; where that nudge grows beyond 1e-4, as where shapes
    touch along a line, the comparison of a state ends. A model that diverges from such states is tried from gentler
    ones, down to 0.3 % of distances, speeds and controls. For each violation the usual causes are tried, first one at a
    time, then together, on a copy of the model or of the map.

    A Gymnasium environment with a MuJoCo model is compared in action bounds, reward and termination besides, at its own
    frame skip; an environment with typed spaces, its own or those of a wrapper such as ``with_symmetry``, in all that
    it
    declares: observations and actions turn as declared, states as the model's own symmetry says.

    Args:
        target: a model, an ``MjSpec``, the path of a model file, or an environment (it is reset, unless it is typed
            from outside).
        symmetries: what to prove: by default what ``derive`` finds in the model, or what the environment's spaces
            declare.
        level: ``"kinematic"`` compares how bodies move, without forces.
        states: number of random states; of an environment that is played in episodes a quarter as many of these.
        steps: numbers of steps after which errors are reported; the last of them is how far is compared.
        seed: of states and controls.
        tolerance: on the state: metres, radians; velocities and sensor readings relative to the largest of them.
        diagnosing: whether to look for the causes of violations, which takes longer than finding them.

    Returns:
        One verdict for each generator, the world's first.

    Raises:
        TypeError: for an environment without a MuJoCo model whose state cannot be set.
        ValueError: for a ``Group`` with a target that has no typed spaces, no numbers of steps, or a model that does
            not compile.
        NonFiniteRolloutError: if the model diverges by itself even from calm states.
    """
    if not steps or min(steps) < 1:
        raise ValueError(f"steps must be numbers of steps from 1 on, got {tuple(steps)}")
    if states < 1:
        raise ValueError(f"states must be at least 1, got {states}")
    options: dict[str, Any] = {
        "states": states,
        "steps": steps,
        "seed": seed,
        "tolerance": tolerance,
        "diagnosing": diagnosing,
    }
    if isinstance(target, gymnasium.Env):
        return _environment(target, symmetries, level, options)
    if isinstance(symmetries, Group):
        raise ValueError(
            "a model has no typed spaces that say what a Group does; give a Derivation or Symmetry objects"
        )
    model, _ = load(target)
    symmetries = derive(model) if symmetries is None else symmetries
    return _claimed(prove(model, _elements(symmetries, level), level=level, **options), symmetries)


def is_typed_world(env: gymnasium.Env[Any, Any]) -> bool:
    """Whether an environment declares how its observations turn, in its own spaces or in those of a wrapper."""
    return declaring_layer(env) is not None


def _environment(env: gymnasium.Env[Any, Any], symmetries: Any, level: Level, options: dict[str, Any]) -> Verdicts:
    if is_typed_world(env) and (symmetries is None or isinstance(symmetries, Group)):
        states = max(1, options["states"] // _STATES_PER_EPISODE)
        return prove_world(declared_world(env), symmetries, **{**options, "states": states})
    world: Any = env.unwrapped
    if not is_mujoco_env(world):
        raise TypeError(
            f"{type(world).__name__} has neither a MuJoCo model and set_state nor typed spaces and the methods of"
            " SymmetricWorld, so that no symmetry can be tried on it"
        )
    if isinstance(symmetries, Group):
        raise ValueError(
            f"{type(world).__name__} has no typed spaces that say what a Group does; give Symmetry objects"
        )
    symmetries = derive(world.model) if symmetries is None else symmetries
    elements = _elements(symmetries, level)
    physics = prove(world.model, elements, level=level, frame_skip=int(getattr(world, "frame_skip", 1)), **options)
    if level == "kinematic" or not elements:
        return _claimed(physics, symmetries)
    task = TaskProof(world, options["seed"])
    return _claimed(Verdicts(tuple(task.examine(s, v) for s, v in zip(elements, physics, strict=True))), symmetries)


def _claimed(verdicts: Verdicts, symmetries: Any) -> Verdicts:
    """A rotation that terms of free joints break is tried too, but nobody claims that it holds."""
    if not isinstance(symmetries, Derivation) or not symmetries.world.is_broken_by_joints:
        return verdicts
    return Verdicts(tuple(replace(v, claimed=v.name != ROTATION) for v in verdicts))


def _elements(symmetries: Any, level: Level) -> tuple[Symmetry, ...]:
    if isinstance(symmetries, Derivation):
        return generators_of(symmetries, level)
    return (symmetries,) if isinstance(symmetries, Symmetry) else tuple(symmetries)
