"""Which world a declaration is checked in.

The environment's own, or one made for an environment that was typed from outside.
"""

from __future__ import annotations

from typing import Any

import gymnasium

from eqrl.proof.declared.declared_world import DeclaredWorld
from eqrl.proof.worlds import SymmetricWorld
from eqrl.symmetry.spaces import UntypedSpaceError, representation_of


def declaring_layer(env: gymnasium.Env[Any, Any], *, actions: bool = False) -> gymnasium.Env[Any, Any] | None:
    """The outermost layer of wrappers, or the environment itself, whose observations are typed; None if there is none.

    Args:
        env: the environment.
        actions: whether the actions of the layer have to be typed too.
    """
    layer: Any = env
    while True:
        try:
            representation_of(layer.observation_space)
            if actions:
                representation_of(layer.action_space)
        except UntypedSpaceError:
            if not isinstance(layer, gymnasium.Wrapper):
                return None
            layer = layer.env
            continue
        return layer  # type: ignore[no-any-return]


def declared_world(env: Any) -> Any:
    """The world in which what an environment declares can be checked.

    Raises:
        UntypedSpaceError: if nothing is declared, naming the space.
        TypeError: if the state of the environment cannot be set.
    """
    env = _single(env)
    layer = declaring_layer(env, actions=True)
    if layer is None:
        observing = declaring_layer(env)
        if observing is None:
            representation_of(env.observation_space)  # says which space is not typed
        raise _untyped_actions(observing)
    base: Any = layer.unwrapped
    if isinstance(base, SymmetricWorld):
        return base if _same_spaces(layer, base) else _Redeclared(layer, base)
    return DeclaredWorld(layer)


class _Redeclared:
    """A world whose spaces a wrapper types otherwise; the world itself is the same."""

    def __init__(self, layer: Any, base: Any) -> None:
        self.observation_space, self.action_space = layer.observation_space, layer.action_space
        self._base = base

    def __getattr__(self, name: str) -> Any:
        return getattr(self._base, name)


def _single(env: Any) -> Any:
    """One member of a vector environment whose members are at hand; all of them are alike."""
    members = getattr(getattr(env, "unwrapped", env), "envs", None)
    if not isinstance(env, gymnasium.Env) and members:
        return members[0]
    if hasattr(env, "num_envs") and not isinstance(getattr(env, "unwrapped", env), SymmetricWorld):
        raise TypeError(f"{type(env).__name__} is a vector environment; check one of its members")
    return env


def _untyped_actions(layer: Any) -> Exception:
    space = layer.action_space
    if isinstance(space, gymnasium.spaces.Discrete | gymnasium.spaces.MultiDiscrete | gymnasium.spaces.MultiBinary):
        return TypeError(
            f"{type(layer.unwrapped).__name__} cannot be checked: its observations are typed, but its actions are"
            f" {space}, and how discrete actions turn is not declared; only actions of a Box can be"
        )
    try:
        representation_of(space)
    except UntypedSpaceError as error:
        return UntypedSpaceError(str(error).replace("the space", "the action space", 1))
    return UntypedSpaceError("observations and actions are typed by different layers of wrappers; type both in one")


def _same_spaces(layer: Any, base: Any) -> bool:
    if layer is base:
        return True
    try:
        return all(
            representation_of(getattr(layer, space)) == representation_of(getattr(base, space))
            for space in ("observation_space", "action_space")
        )
    except UntypedSpaceError:
        return False
