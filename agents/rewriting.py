"""Detection of wrappers that rewrite the numbers of a typed space but keep the space.

A typed space tells how the numbers of an environment turn. A wrapper that rewrites the numbers without changing the
space, such as ``VecNormalize``, makes this wrong, and the spaces do not show it. Every layer between the environment
and the agent is therefore checked. Layers that pass numbers on unchanged are known; any other layer is tried: a copy of
it wraps a stand-in that returns known numbers. They must come out unchanged, and actions must arrive unchanged.

A layer that declares a typed space of its own is trusted, and the layers below it are not checked.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from typing import Any, Literal
from weakref import WeakSet

import gymnasium
import numpy as np
from gymnasium import spaces, wrappers
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import (
    VecCheckNan,
    VecEnv,
    VecEnvWrapper,
    VecMonitor,
    VecNormalize,
    VecVideoRecorder,
)

from eqrl.agents.echo import Echo, VecEcho, same, sample
from eqrl.agents.errors import BreaksSymmetryError
from eqrl.symmetry import TypedBox

What = Literal["observation", "action"]
Layer = Any  # a gymnasium.Wrapper or a VecEnvWrapper

# These wrappers pass numbers on unchanged, possibly delayed or repeated.
_PASS_ON: frozenset[type] = frozenset(
    {
        Monitor,
        VecCheckNan,
        VecMonitor,
        VecVideoRecorder,
        wrappers.AddWhiteNoise,  # to frames
        wrappers.Autoreset,
        wrappers.DelayObservation,
        wrappers.HumanRendering,
        wrappers.NormalizeReward,
        wrappers.ObstructView,
        wrappers.OrderEnforcing,
        wrappers.PassiveEnvChecker,
        wrappers.RecordEpisodeStatistics,
        wrappers.RecordVideo,
        wrappers.RenderCollection,
        wrappers.StickyAction,
        wrappers.TimeLimit,
    }
)
_PASSED: WeakSet[VecEnv] = WeakSet()


def refuse_rewritten(env: VecEnv) -> None:
    """Refuse an environment whose observations or actions no longer turn as their space says.

    Args:
        env: the environment of an algorithm.

    Raises:
        BreaksSymmetryError: naming the wrapper and the fix.
    """
    if env in _PASSED:
        return
    if (reason := _reason(env)) is not None:
        raise BreaksSymmetryError(reason)
    _PASSED.add(env)


def refuse_normalised_observations(normaliser: VecNormalize | None) -> None:
    """Refuse SB3's normaliser if it normalises observations, where nothing else of the environment is known.

    Raises:
        BreaksSymmetryError: with the fix.
    """
    if normaliser is not None and _normalises(normaliser):
        raise BreaksSymmetryError(_message(normaliser, "observation"))


def typed(space: gymnasium.Space[Any]) -> bool:
    """Whether a space has a representation, possibly with the trivial group."""
    return all(isinstance(part, TypedBox) for part in _parts(space))


def _reason(env: VecEnv) -> str | None:
    inherited: dict[What, bool] = {"observation": True, "action": True}
    if (reason := _first_reason(env, inherited)) is not None:
        return reason
    base = env.unwrapped
    if isinstance(members := getattr(base, "envs", None), list):
        return next((reason for member in members if (reason := _first_reason(member, dict(inherited)))), None)
    try:  # in other processes
        if any(base.env_is_wrapped(_Rewrites(inherited))):  # type: ignore[arg-type]
            return _generic("a wrapper of the environments, in their own processes,", "observation")
    except (AttributeError, TypeError, NotImplementedError):  # an environment of another library
        pass
    return None


def _first_reason(env: Any, inherited: dict[What, bool]) -> str | None:
    """Message about the outermost layer that rewrites; clears ``inherited`` for spaces that a layer declares itself."""
    layers = list(_layers(env))
    for depth, (layer, inner) in enumerate(layers):
        for what in inherited:
            inherited[what] = inherited[what] and not _declares(_space(layer, what), _space(inner, what))
        wanted: list[What] = [what for what, yes in inherited.items() if yes]
        if not wanted:
            return None
        below = [inner, *(deeper for _, deeper in layers[depth + 1 :])]
        if (rewritten := _rewritten(layer, below, wanted)) is not None:
            return _message(layer, rewritten)
    return None


class _Rewrites:
    """A query through SB3's ``env_is_wrapped``, the only one that reaches environments in other processes."""

    def __init__(self, inherited: dict[What, bool]) -> None:
        self.inherited = inherited
        self.asked = False

    def __instancecheck__(self, outermost: Any) -> bool:
        first, self.asked = not self.asked, True  # SB3 asks every layer; the first one can answer for all
        return first and _first_reason(outermost, self.inherited) is not None


# ------------------------------------------------------------------ one layer
def _rewritten(layer: Layer, below: list[Any], wanted: list[What]) -> What | None:
    """Which of the wanted kinds a layer rewrites, or None."""
    if type(layer) in _PASS_ON or type(layer).__module__.startswith("eqrl."):
        return None
    if isinstance(layer, VecNormalize | wrappers.NormalizeObservation):
        return "observation" if _normalises(layer) and "observation" in wanted else None
    wanted = [what for what in wanted if _inherits(_space(layer, what), _space(below[0], what))]
    if not wanted:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            changed = _tried(layer, below)
    except Exception:  # a foreign wrapper may need anything that the trial does not have
        changed = _rewritten_by_type(layer)
    return next((what for what in wanted if what in changed), None)


def _normalises(layer: Layer) -> bool:
    if isinstance(layer, VecNormalize):
        return bool(layer.norm_obs) and layer.norm_obs_keys != []
    return isinstance(layer, wrappers.NormalizeObservation)


def _rewritten_by_type(layer: Layer) -> list[What]:
    """What a layer rewrites judging by its type, if it cannot be tried."""
    kinds: dict[What, type] = {"observation": gymnasium.ObservationWrapper, "action": gymnasium.ActionWrapper}
    return [what for what, kind in kinds.items() if isinstance(layer, kind)]


def _tried(layer: Layer, below: list[Any]) -> list[What]:
    """What a copy of the layer rewrites when it wraps a stand-in that returns known numbers."""
    vectorised = isinstance(layer, VecEnv)
    echo: Any = VecEcho(below[0]) if vectorised else Echo(below[0])
    # deeper layers are shared, and so is SB3's table of class attributes, which cannot be copied
    memo = {id(part): part for part in [*below, getattr(layer, "class_attributes", None)]}
    memo[id(below[0])] = echo
    trial: Any = object.__new__(type(layer))  # VecEnvWrapper cannot be copied by copy.copy
    vars(trial).update(copy.deepcopy(vars(layer), memo))
    seen = trial.reset() if vectorised else trial.reset()[0]
    changed: dict[What, bool] = {"observation": not _same_inherited(layer, below[0], seen, echo.shown), "action": False}
    for round_ in range(3):
        action = sample(below[0].action_space, np.random.default_rng(round_), echo.rows)
        echo.acted.clear()
        seen = trial.step(action.copy())[0]
        changed["observation"] |= not _same_inherited(layer, below[0], seen, echo.shown)
        changed["action"] |= not all(same(action, arrived) for arrived in echo.acted)
    return [what for what, yes in changed.items() if yes]


def _same_inherited(layer: Layer, inner: Any, seen: Any, shown: Any) -> bool:
    """Whether entries whose space the layer inherits are unchanged; the layer may add other entries."""
    outer, source = layer.observation_space, inner.observation_space
    if not isinstance(source, spaces.Dict):
        return same(seen, shown)
    keys = {id(space): key for key, space in source.spaces.items()}
    if not isinstance(outer, spaces.Dict):  # one entry, picked out
        return same(seen, shown[keys[id(outer)]])
    return all(same(seen[key], shown[keys[id(space)]]) for key, space in outer.spaces.items() if id(space) in keys)


# ------------------------------------------------------------------ layers and their spaces
def _layers(env: Any) -> Iterator[tuple[Layer, Any]]:
    """Wrappers from the outside in, each with what it wraps; either of a vectorised or of a single environment."""
    while isinstance(env, gymnasium.Wrapper | VecEnvWrapper):
        inner = env.env if isinstance(env, gymnasium.Wrapper) else env.venv
        yield env, inner
        env = inner


def _space(env: Any, what: What) -> gymnasium.Space[Any]:
    space: gymnasium.Space[Any] = env.observation_space if what == "observation" else env.action_space
    return space


def _declares(space: gymnasium.Space[Any], inner: gymnasium.Space[Any]) -> bool:
    """Whether a layer declares the representation of its numbers itself."""
    return typed(space) and not _inherits(space, inner)


def _inherits(space: gymnasium.Space[Any], inner: gymnasium.Space[Any]) -> bool:
    """Whether a space, or one of its entries, is the same object as in the layer below."""
    return not {id(part) for part in _parts(space)}.isdisjoint(id(part) for part in _parts(inner))


def _parts(space: gymnasium.Space[Any]) -> list[gymnasium.Space[Any]]:
    return list(space.spaces.values()) if isinstance(space, spaces.Dict) else [space]


# ------------------------------------------------------------------ messages
def _message(layer: Layer, what: What) -> str:
    name = type(layer).__name__
    if not _normalises(layer):
        return _generic(name, what)
    fix = "use VecNormalize(env, norm_obs=False)" if isinstance(layer, VecNormalize) else "leave it out"
    return (
        f"{name} scales every component of an observation by its own statistics, which breaks the symmetry: what comes"
        f" out does not turn as its space says; {fix}, the policies of eqrl normalise their observations themselves"
    )


def _generic(name: str, what: What) -> str:
    return (
        f"{name} rewrites the {what}s of a typed environment and keeps the {what} space, which breaks the symmetry if"
        " they no longer turn as that space says; leave it out, or say how the new ones turn: give the wrapper a space"
        f" of its own, self.{what}_space = TypedBox(Representation(...), ...), or declare their fields with"
        " eqrl.with_symmetry around it"
    )
