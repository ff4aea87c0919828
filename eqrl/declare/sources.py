"""Types of an environment that nobody declares: ready-made ones, or those that the symmetries of its model give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import gymnasium
import mujoco

from eqrl.arrays import Floats
from eqrl.declare.errors import DeclarationError
from eqrl.declare.layout import CannotTypeError, observation_matrix, types_of
from eqrl.declare.one_step import try_motion
from eqrl.declare.ready_made import GeneratorSpec, Spec, ready_made_types, signed, spec_of, specs
from eqrl.declare.task import candidates, keep
from eqrl.declare.types import Types
from eqrl.derivation import Symmetry
from eqrl.derivation.remembered import derivation_of
from eqrl.errors import suggestion
from eqrl.proof.declared.motion import Motion
from eqrl.proof.declared.twins import MujocoTwin, twin_of
from eqrl.symmetry import representation_of
from eqrl.symmetry.spaces import untyped


def known_types(env: gymnasium.Env[Any, Any], wanted: Sequence[str] | None, approximate: bool) -> Types:
    """Types of one of Gymnasium's environments, or derived from a model.

    Args:
        env: the environment.
        wanted: names of the generators to keep, None for all.
        approximate: whether symmetries count that the model keeps only nearly.

    Raises:
        DeclarationError: for an unknown generator, or if nothing is known about the environment.
    """
    spec = spec_of(env)
    return _derived(env, wanted, approximate) if spec is None else _ready_made(env, spec, wanted, approximate)


def _ready_made(env: gymnasium.Env[Any, Any], spec: Spec, wanted: Sequence[str] | None, approximate: bool) -> Types:
    offered = [g for g in spec.generators if g.exact or approximate]
    broken: tuple[str, ...] = ()
    if _has_options(env):
        reasons = {g.name: _reason(env, g) for g in offered}
        if any(reasons.values()) and spec.fields is None:
            return _derived(env, wanted, approximate)  # products of what fails may hold
        broken = tuple(f"{name!r}: {reason}" for name, reason in reasons.items() if reason)
        offered = [g for g in offered if not reasons[g.name]]
    chosen = _choose(wanted, offered, spec.generators)
    types = ready_made_types(env, spec, chosen)
    left = tuple(
        f"{g.name!r} holds only approximately ({'; '.join(g.differs)}); approximate=True declares it"
        for g in spec.generators
        if not (g.exact or approximate)
    )
    return replace(types, notes=(*broken, *left, *types.notes))


def _has_options(env: gymnasium.Env[Any, Any]) -> bool:
    """Whether an environment was made with untested options, one of which may change the reward."""
    return env.spec is None or bool(set(env.spec.kwargs) - _APPEARANCE)


_APPEARANCE = {
    "render_mode",
    "width",
    "height",
    "camera_id",
    "camera_name",
    "default_camera_config",
    "max_geom",
    "visual_options",
}


def _reason(env: gymnasium.Env[Any, Any], generator: GeneratorSpec) -> str:
    """Why an environment with options does not keep a generator; empty if it does."""
    twin = twin_of(env)
    motion = generator.motion(twin.model if isinstance(twin, MujocoTwin) else None)
    images = generator.element.get("observation")
    try:
        if images is not None:
            matrix = signed(images)
        else:
            assert isinstance(twin, MujocoTwin)
            matrix = observation_matrix(twin, motion)
    except CannotTypeError as error:
        return str(error)
    return try_motion(twin, motion, matrix, samples=48, wide=generator.exact).broken(generator.exact)


def _choose(
    wanted: Sequence[str] | None, offered: Sequence[GeneratorSpec], known: Sequence[GeneratorSpec]
) -> Sequence[GeneratorSpec]:
    if wanted is None:
        return offered
    names = {g.name: g for g in offered}
    for name in wanted:
        if name in names:
            continue
        if any(g.name == name for g in known):
            raise DeclarationError(
                f"{name!r} holds only approximately; say approximate=True to declare it all the same"
            )
        raise DeclarationError(
            f"the environment has no generator {name!r}; {suggestion(name, [g.name for g in known])}"
        )
    return [names[name] for name in wanted]


def _derived(env: gymnasium.Env[Any, Any], wanted: Sequence[str] | None, approximate: bool) -> Types:
    base: Any = env.unwrapped
    if not untyped(base.observation_space):
        raise DeclarationError(
            f"{env.spec.id if env.spec else type(base).__name__} is typed already, with group"
            f" {representation_of(base.observation_space).group}"
        )
    structure = getattr(base, "observation_structure", None)
    if not isinstance(getattr(base, "model", None), mujoco.MjModel) or structure is None:
        raise DeclarationError(
            f"nothing is known about {type(base).__name__}: it is not one of {', '.join(sorted(specs()))}, and has no"
            " MuJoCo model with an observation_structure. Declare its fields, with_symmetry(env,"
            " observation=[Field(...), ...], action=[...], group=...), or let them be proposed, with_symmetry(env,"
            " infer_types(env))"
        )
    model: mujoco.MjModel = base.model
    size = sum(n for name, n in structure.items() if name != "skipped_qpos")
    if env.observation_space.shape != (size,):
        raise DeclarationError(
            f"{type(base).__name__}: observation_structure describes {size} entries, but the observation has shape "
            f"{env.observation_space.shape}; declare its fields, or use infer_types(env)"
        )
    if env.action_space.shape != (model.nu,):
        raise DeclarationError(
            f"{type(base).__name__}: actions have shape {env.action_space.shape}, but the model has {model.nu}"
            " actuators; declare the fields, or use infer_types(env)"
        )
    derivation = derivation_of(model)
    twin = MujocoTwin(base)

    def on_observations(motion: Motion) -> Floats:
        return observation_matrix(twin, motion)

    exact = keep(twin, candidates(derivation), on_observations)
    symmetries = list(exact.generators)
    if approximate:
        nearly = [m.symmetry for m in derivation.near_misses]
        symmetries += keep(twin, nearly, on_observations, dynamics=False).generators
    symmetries = _named_only(wanted, symmetries)
    # a task with a direction obviously does not keep turns of the world
    notes = [f"{name!r}: {reason}" for name, reason in exact.refused if "world turned" not in name]
    if not approximate:
        notes += [f"{miss}; approximate=True declares it" for miss in derivation.near_misses]
    return types_of(model, structure, symmetries, notes)


def _named_only(wanted: Sequence[str] | None, known: list[Symmetry]) -> list[Symmetry]:
    if wanted is None:
        return known
    names = {s.name: s for s in known}
    for name in wanted:
        if name not in names:
            raise DeclarationError(f"the environment keeps no generator {name!r}; {suggestion(name, names)}")
    return [names[name] for name in wanted]
