"""The same environment with typed spaces."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

from eqrl.declare.declared import Declared, declared_dict_types, declared_types
from eqrl.declare.errors import DeclarationError, SymmetryWarning
from eqrl.declare.proposal import Proposal
from eqrl.declare.sources import known_types
from eqrl.declare.types import Types
from eqrl.symmetry import EntitySet, Group, Representation, TypedBox
from eqrl.symmetry.bounds import check_box

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
            self.types, parts = declared_dict_types(env, observation, action, group, entities)
            space: Any = env.observation_space
            observation_space = spaces.Dict(
                [(key, _typed(part, space[key], f"observation[{key!r}]")) for key, part in parts.items()]
            )
        else:
            self.types = _types(env, observation, action, group, entities, approximate)
            observation_space = _typed(self.types.observation, env.observation_space, "observation")
        self.observation_space = observation_space
        if self.types.action is not None:
            self.action_space = _typed_action(self.types.action, env.action_space)
        if not self.types.group.generators:
            warnings.warn(_without(env, self.types), SymmetryWarning, stacklevel=3)

    def __str__(self) -> str:
        """The group, and the environment."""
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
        observation: fields in the order of the observation, a ``Representation``, a mapping of these for a dict
            observation, or a ``Proposal`` for observation and action.
        action: fields or representation of the action.
        group: for a declaration, the group: a ``Group``, or ``"SO2"``, ``"O2"``, ``"SO3"``, ``"O3"``; otherwise the
            name of a generator, or several, to keep of those that hold.
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
            raise DeclarationError(
                "a proposal holds action and group already; give it alone, or change its representations"
            )
        types = observation.types
        size = int(np.prod(env.observation_space.shape or (0,)))
        if types.observation.dim != size:
            raise DeclarationError(
                f"the proposal is for {types.observation.dim} observed entries, but the environment has {size}"
            )
        return types
    if observation is not None:
        return declared_types(env, observation, action, group, entities)
    if action is not None:
        raise DeclarationError("action= is declared, but not observation=; declare both")
    if isinstance(group, Group):
        raise DeclarationError(
            "a Group says how declared fields turn; without observation= give the names of generators to keep"
        )
    wanted = (group,) if isinstance(group, str) else group
    return known_types(env, wanted, approximate)


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
                "; wrap each environment before it is vectorised: make_vec_env(lambda:"
                " with_symmetry(gymnasium.make(id)), 8)"
                if vectorised
                else ""
            )
        )


def _refuse_rewritten(env: gymnasium.Env[Any, Any]) -> None:
    """Refuse wrappers that rewrite observations or actions: what is known holds for the environment itself."""
    base, layer = env.unwrapped, env
    while isinstance(layer, gymnasium.Wrapper):
        if not isinstance(layer, WithSymmetry):
            rewrites = isinstance(layer, gymnasium.ObservationWrapper) or (
                isinstance(layer, gymnasium.ActionWrapper) and not isinstance(layer, _HARMLESS)
            )
            if rewrites or (layer.observation_space.shape != base.observation_space.shape):
                raise DeclarationError(
                    f"{type(layer).__name__} rewrites observations or actions of {type(base).__name__}, whose own"
                    " symmetry is known; wrap the environment with with_symmetry first, or declare the fields of what"
                    " it makes of them"
                )
        layer = layer.env


# these act on every entry of an action alike, and the bounds are checked
_HARMLESS = (gymnasium.wrappers.RescaleAction, gymnasium.wrappers.ClipAction)


def _without(env: gymnasium.Env[Any, Any], types: Types) -> str:
    name = env.spec.id if env.spec is not None else type(env.unwrapped).__name__
    return f"{name} has no symmetry that can be declared, so its group is trivial" + "".join(
        f"; {n}" for n in types.notes
    )
