"""The wrappers around an environment: which of them only watch, and which compute what is observed."""

from __future__ import annotations

from typing import Any

import gymnasium
from stable_baselines3.common.monitor import Monitor

# these write down, count and render what they see, and change nothing of it
_BOOKKEEPING = (
    gymnasium.wrappers.TimeLimit,
    gymnasium.wrappers.OrderEnforcing,
    gymnasium.wrappers.PassiveEnvChecker,
    gymnasium.wrappers.RecordEpisodeStatistics,
    gymnasium.wrappers.RecordVideo,
    gymnasium.wrappers.RenderCollection,
    gymnasium.wrappers.HumanRendering,
    gymnasium.wrappers.Autoreset,
    Monitor,
)
_NOT_OBSERVING = (gymnasium.ActionWrapper, gymnasium.RewardWrapper)


def without_bookkeeping(env: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    """The same layers without those that only watch: new wrappers around the same environment."""
    if not isinstance(env, gymnasium.Wrapper):
        return env
    inner = without_bookkeeping(env.env)
    if isinstance(env, _BOOKKEEPING):
        return inner
    layer: gymnasium.Env[Any, Any] = object.__new__(type(env))
    layer.__dict__.update(env.__dict__, env=inner)
    return layer


def observing_layers(env: gymnasium.Env[Any, Any]) -> list[Any] | None:
    """Wrappers whose ``observation()`` makes an observation of the one below, the innermost first.

    None if others do too.
    """
    layers: list[Any] = []
    layer: Any = env
    while isinstance(layer, gymnasium.Wrapper):
        if isinstance(layer, gymnasium.ObservationWrapper):
            layers.insert(0, layer)
        elif not isinstance(layer, _NOT_OBSERVING) and type(layer).step is not gymnasium.Wrapper.step:
            return None
        layer = layer.env
    return layers


def layer_names(env: Any) -> list[str]:
    """Names of the classes, the outermost first."""
    return [type(env).__name__, *(layer_names(env.env) if isinstance(env, gymnasium.Wrapper) else [])]
