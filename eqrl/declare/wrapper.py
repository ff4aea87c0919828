"""The same environment with typed spaces."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import gymnasium
import mujoco
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

from eqrl.declare.declared import Declared, check_space, flat_parts, group_of, part_names, representation
from eqrl.declare.errors import DeclarationError, SymmetryWarning
from eqrl.declare.layout import CannotTypeError, action_field, standard_fields
from eqrl.declare.proposal import Proposal
from eqrl.declare.ready_made import GeneratorSpec, Spec, ready_made_types, signed, spec_of, specs
from eqrl.declare.task import candidates, keep
from eqrl.declare.trial import try_motion
from eqrl.declare.types import Sets, Types, build, plain
from eqrl.derivation import Symmetry
from eqrl.derivation.remembered import derivation_of
from eqrl.errors import suggestion
from eqrl.proof.declared.motion import Floats, Motion
from eqrl.proof.declared.world import MujocoWorld, world_of
from eqrl.symmetry import EntitySet, Field, Group, Representation, TypedBox, direct_sum, representation_of
from eqrl.symmetry.bounds import check_box
from eqrl.symmetry.spaces import untyped

ObservationLike: TypeAlias = Declared | Mapping[str, Declared] | Proposal


class WithSymmetry(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """An environment whose spaces say how they turn; nothing else changes. Made by :func:`with_symmetry`.

    Attributes:
        types: how observations and actions turn, with notes on what was left out.
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        observation: ObservationLike | None = None,
        action: Declared | None = None,
        group: Group | str | Sequence[str] | None = None,
        entities: Sequence[EntitySet] = (),
        approximate: bool = False,
    ) -> None:
        _refuse_vectors(env)
        RecordConstructorArgs.__init__(
            self, observation=observation, action=action, group=group, entities=entities, approximate=approximate
        )
        gymnasium.Wrapper.__init__(self, env)
        observation_space: gymnasium.Space[Any]
        if isinstance(observation, Mapping):
            self.types, observation_space = _declared_dict(env, observation, action, group, entities)
        else:
            self.types = _types(env, observation, action, group, entities, approximate)
            observation_space = _typed(self.types.observation, env.observation_space, "observation")
        self.observation_space = observation_space
        if self.types.action is not None:
            self.action_space = _typed_action(self.types.action, env.action_space)
        if not self.types.group.generators:
            warnings.warn(_without(env, self.types), SymmetryWarning, stacklevel=3)

    def __str__(self) -> str:
        """The group, then what is typed how."""
        return f"<WithSymmetry {self.types.group} {self.env}>"


def with_symmetry(
    env: gymnasium.Env[Any, Any],
    observation: ObservationLike | None = None,
    action: Declared | None = None,
    *,
    group: Group | str | Sequence[str] | None = None,
    entities: Sequence[EntitySet] = (),
    approximate: bool = False,
) -> WithSymmetry:
    """The same environment with spaces that say how they turn, so that eqrl's policies take it.

    Without a declaration, the symmetry comes from three sources, in this order: Gymnasium's MuJoCo and classic-control
    environments are ready-made; for any other environment with a MuJoCo model and the ``observation_structure`` of
    Gymnasium's it is derived from the model and tried on physics, observation, reward and termination; everything else
    has to be declared, or proposed by :func:`infer_types`.

    Args:
        env: a single environment; wrap it before it is vectorised.
        observation: fields in the order of the observation, a ``Representation``, a mapping of these for a dict observation, or a
            ``Proposal`` for observation and action.
        action: fields or representation of the action.
        group: for a declaration, the group: a ``Group``, or ``"SO2"``, ``"O2"``, ``"SO3"``, ``"O3"``; otherwise the name of a
            generator, or several, to keep of those that were found.
        entities: entity sets that declared fields repeat over.
        approximate: whether symmetries count that the model keeps only nearly, as Humanoid's mirror.

    Returns:
        A wrapper that replaces ``observation_space`` and, unless actions are discrete, ``action_space``. An environment
        without any symmetry gets the trivial group, with a ``SymmetryWarning``.

    Raises:
        DeclarationError: if fields and sizes do not fit (naming the first entry that is wrong), for an unknown group or
            generator, for a vector environment, or if nothing is known about the environment.
        BreaksSymmetryError: if the bounds of the action space are not kept by the group.
        ValueError: if the bounds of an observed vector are not a ball.
    """
    return WithSymmetry(env, observation, action, group, entities, approximate)


# ------------------------------------------------------------------ where types come from
def _types(
    env: gymnasium.Env[Any, Any],
    observation: Declared | Proposal | None,
    action: Declared | None,
    group: Group | str | Sequence[str] | None,
    entities: Sequence[EntitySet],
    approximate: bool,
) -> Types:
    if observation is None or isinstance(observation, Proposal):
        _refuse_rewritten(env)
    if isinstance(observation, Proposal):
        if action is not None or group is not None:
            raise DeclarationError("a proposal holds action and group already; give it alone, or change its representations")
        types = observation.types
        size = int(np.prod(env.observation_space.shape or (0,)))
        if types.observation.dim != size:
            raise DeclarationError(
                f"the proposal is for {types.observation.dim} observed entries, but the environment has {size}"
            )
        return types
    if observation is not None:
        return _declared(env, observation, action, group, entities)
    if action is not None:
        raise DeclarationError("action= is declared, but not observation=; declare both")
    if isinstance(group, Group):
        raise DeclarationError(
            "a Group says how declared fields turn; without observation= give the names of generators to keep"
        )
    wanted = (group,) if isinstance(group, str) else group
    spec = spec_of(env)
    if spec is not None:
        return _ready_made(env, spec, wanted, approximate)
    return _derived(env, wanted, approximate)


def _declared(
    env: gymnasium.Env[Any, Any],
    observation: Declared,
    action: Declared | None,
    group: Group | str | Sequence[str] | None,
    entities: Sequence[EntitySet],
) -> Types:
    if isinstance(env.observation_space, spaces.Dict):
        keys = ", ".join(f"{key!r}: [...]" for key in env.observation_space.spaces)
        raise DeclarationError(
            f"the observation is a Dict with several entries; declare the fields of each, observation={{{keys}}}, or flatten it "
            "first (gymnasium.wrappers.FlattenObservation)"
        )
    chosen = group_of(group, observation, action)  # type: ignore[arg-type]
    made = representation("observation", observation, chosen, entities, env.observation_space, part_names(env))
    if action is None:
        if not isinstance(env.action_space, spaces.Discrete):
            check_space("action", env.action_space)
            raise DeclarationError(
                f"observation= is declared, but not how the action of size {env.action_space.shape} turns; "
                "add action=[Field('force', '1x1o')] for instance"
            )
        return Types(made, None, (_discrete(env),))
    return Types(made, representation("action", action, chosen, entities, env.action_space))


def _declared_dict(
    env: gymnasium.Env[Any, Any],
    observation: Mapping[str, Declared],
    action: Declared | None,
    group: Group | str | Sequence[str] | None,
    entities: Sequence[EntitySet],
) -> tuple[Types, spaces.Dict]:
    space = env.observation_space
    if not isinstance(space, spaces.Dict):
        check_space("observation", space)
        raise DeclarationError(f"observation= is a mapping, but the observation space is {space}; give a list of fields")
    for key in (*space.spaces, *observation):
        if key not in space.spaces:
            raise DeclarationError(f"the observation has no entry {key!r}; {suggestion(key, space.spaces)}")
        if key not in observation:
            raise DeclarationError(f"nothing describes the entry {key!r} of the observation")
    if nested := next((k for k, s in space.spaces.items() if isinstance(s, spaces.Dict | spaces.Tuple)), None):
        order = ", then ".join(f"{name} ({size})" for name, size in flat_parts(space))
        raise DeclarationError(
            f"observation[{nested!r}] is a {type(space.spaces[nested]).__name__} within the Dict, and nested spaces cannot be typed; "
            f"flatten the observation first, with_symmetry(gymnasium.wrappers.FlattenObservation(env), observation=[...], ...), and "
            f"list the fields in the order in which that lays them out: {order}"
        )
    chosen = group_of(group, *observation.values(), action)  # type: ignore[arg-type]
    made = {k: representation(f"observation[{k!r}]", observation[k], chosen, entities, s) for k, s in space.spaces.items()}
    typed = spaces.Dict({k: _typed(made[k], space.spaces[k], f"observation[{k!r}]") for k in space.spaces})
    if action is None:
        raise DeclarationError("declare action= too")
    return Types(direct_sum(made), representation("action", action, chosen, entities, env.action_space)), typed


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
    """Whether an environment was made with options for which nothing was tried: one may change the reward."""
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
    world = world_of(env)
    motion = generator.motion(world.model if isinstance(world, MujocoWorld) else None)
    images = generator.element.get("observation")
    try:
        if images is not None:
            matrix = signed(images)
        else:
            assert isinstance(world, MujocoWorld)
            matrix = observation_matrix(world, motion)
    except CannotTypeError as error:
        return str(error)
    return try_motion(world, motion, matrix, samples=48, wide=generator.exact).broken(generator.exact)


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
            raise DeclarationError(f"{name!r} holds only approximately; say approximate=True to declare it all the same")
        raise DeclarationError(f"the environment has no generator {name!r}; {suggestion(name, [g.name for g in known])}")
    return [names[name] for name in wanted]


def _derived(env: gymnasium.Env[Any, Any], wanted: Sequence[str] | None, approximate: bool) -> Types:
    base: Any = env.unwrapped
    if not untyped(base.observation_space):
        raise DeclarationError(
            f"{env.spec.id if env.spec else type(base).__name__} is typed already, with group {representation_of(base.observation_space).group}"
        )
    structure = getattr(base, "observation_structure", None)
    if not isinstance(getattr(base, "model", None), mujoco.MjModel) or structure is None:
        raise DeclarationError(
            f"nothing is known about {type(base).__name__}: it is not one of {', '.join(sorted(specs()))}, and has no MuJoCo model with an "
            "observation_structure. Declare its fields, with_symmetry(env, observation=[Field(...), ...], action=[...], group=...), or let "
            "them be proposed, with_symmetry(env, infer_types(env))"
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
            f"{type(base).__name__}: actions have shape {env.action_space.shape}, but the model has {model.nu} actuators; "
            "declare the fields, or use infer_types(env)"
        )
    derivation = derivation_of(model)
    world = MujocoWorld(base)

    def on_observations(motion: Motion) -> Floats:
        return observation_matrix(world, motion)

    kept = keep(world, candidates(derivation), on_observations)
    found = list(kept.generators)
    if approximate:
        nearly = [m.symmetry for m in derivation.near_misses]
        found += keep(world, nearly, on_observations, dynamics=False).generators
    found = _named_only(wanted, found)
    # that a task with a direction does not keep turns of the world goes without saying
    notes = [f"{name!r}: {reason}" for name, reason in kept.refused if "world turned" not in name]
    if not approximate:
        notes += [f"{miss}; approximate=True declares it" for miss in derivation.near_misses]
    return types_of(model, structure, found, notes)


def types_of(
    model: mujoco.MjModel, structure: Mapping[str, int], symmetries: Sequence[Symmetry], notes: Sequence[str] = ()
) -> Types:
    """Types of a standard observation, with controls as actions, under symmetries of the model.

    Raises:
        CannotTypeError: if a symmetry does not act linearly on an observed entry.
    """
    size = sum(int(n) for name, n in structure.items() if name != "skipped_qpos")
    if not symmetries:
        return plain(size, model.nu, notes)
    sets = Sets()
    fields = standard_fields(model, structure, symmetries, sets)
    action: list[Field] = [action_field(model, symmetries, sets)]
    return build(fields, action, sets, [s.name for s in symmetries], [s.R for s in symmetries], notes=notes)


def observation_matrix(world: MujocoWorld, motion: Motion) -> Floats:
    """What a symmetry does to the standard observation of an environment, ``(dim, dim)``.

    Raises:
        CannotTypeError: if no linear map does that, or it changes nothing that is observed.
    """
    assert motion.symmetry is not None
    structure = world.env.observation_structure  # type: ignore[attr-defined]
    types = types_of(world.model, structure, [motion.symmetry])
    if not types.group.generators:
        raise CannotTypeError("it changes nothing that is observed")
    matrix: Floats = types.observation.matrix(types.group.generators[0][1]).numpy()
    return matrix


def _named_only(wanted: Sequence[str] | None, found: list[Symmetry]) -> list[Symmetry]:
    if wanted is None:
        return found
    names = {s.name: s for s in found}
    for name in wanted:
        if name not in names:
            raise DeclarationError(f"the environment keeps no generator {name!r}; {suggestion(name, names)}")
    return [names[name] for name in wanted]


# ------------------------------------------------------------------ spaces
def _typed(rep: Representation, space: gymnasium.Space[Any], what: str) -> TypedBox:
    if not isinstance(space, spaces.Box):
        raise DeclarationError(
            f"the {what} space is {space}; only a Box can be typed, and a Dict of them: observation={{'key': [...]}}"
        )
    return TypedBox(rep, space.low, space.high, dtype=space.dtype.type)


def _typed_action(rep: Representation, space: gymnasium.Space[Any]) -> TypedBox:
    assert isinstance(space, spaces.Box)
    check_box(space, rep)
    return _typed(rep, space, "action")


def _refuse_vectors(env: Any) -> None:
    if not isinstance(env, gymnasium.Env):
        vectorised = hasattr(env, "num_envs")
        raise DeclarationError(
            f"with_symmetry takes a single gymnasium.Env, not {type(env).__name__}"
            + (
                "; wrap each environment before it is vectorised: make_vec_env(lambda: with_symmetry(gymnasium.make(id)), 8)"
                if vectorised
                else ""
            )
        )


def _refuse_rewritten(env: gymnasium.Env[Any, Any]) -> None:
    """What is known is known of the environment itself, and not of what a wrapper makes of its observations and actions."""
    base, layer = env.unwrapped, env
    while isinstance(layer, gymnasium.Wrapper):
        if not isinstance(layer, WithSymmetry):
            rewrites = isinstance(layer, gymnasium.ObservationWrapper) or (
                isinstance(layer, gymnasium.ActionWrapper) and not isinstance(layer, _HARMLESS)
            )
            if rewrites or (layer.observation_space.shape != base.observation_space.shape):
                raise DeclarationError(
                    f"{type(layer).__name__} rewrites observations or actions of {type(base).__name__}, whose own symmetry is known; "
                    "wrap the environment with with_symmetry first, or declare the fields of what it makes of them"
                )
        layer = layer.env


# these act on every entry of an action alike, and the bounds are checked
_HARMLESS = (gymnasium.wrappers.RescaleAction, gymnasium.wrappers.ClipAction)


def _discrete(env: gymnasium.Env[Any, Any]) -> str:
    return f"actions are {env.action_space}: eqrl's policies need a Box, the observation alone is typed"


def _without(env: gymnasium.Env[Any, Any], types: Types) -> str:
    name = env.spec.id if env.spec is not None else type(env.unwrapped).__name__
    return f"{name} has no symmetry that can be declared, so its group is trivial" + "".join(f"; {n}" for n in types.notes)
