"""Check that a trained policy keeps a symmetry, in the manner of Stable-Baselines3's ``check_env``.

Everything goes through ``model.predict`` and the functions that training itself uses, so normalisation, squashing,
clipping and rescaling are part of what is checked. Nothing of Stable-Baselines3 is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray

from eqrl.symmetry.element import Element
from eqrl.symmetry.errors import SymmetryError
from eqrl.symmetry.exchange import family
from eqrl.symmetry.group import GROUPS, Group
from eqrl.symmetry.representation import Representation
from eqrl.symmetry.spaces import representation_of

Observation = Any  # an array, or a dict of arrays
Array = NDArray[np.floating[Any]]


# SB3 takes actions through (a + 1) / 2, so that they carry the rounding error of the range and not of their own size.
_ACTION_SCALE = 1e-2


@dataclass
class PolicyReport:
    """What ``check_policy`` measured.

    Attributes:
        group: the group whose generators were tried.
        samples: number of observations.
        errors: largest relative error of each quantity ("action", "log_prob", "value", "q") under each generator.
    """

    group: Group
    samples: int
    errors: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def worst(self) -> float:
        """Largest relative error of all."""
        return max((e for by_generator in self.errors.values() for e in by_generator.values()), default=0.0)

    def __str__(self) -> str:
        """The errors as a text table."""
        rows = [f"group {self.group}, {self.samples} observations"]
        wide = max((len(name) + 2 for by_generator in self.errors.values() for name in by_generator), default=0)
        for quantity, by_generator in self.errors.items():
            rows += [f"{quantity:<12}{name:<{max(wide, 32)}}{error:.1e}" for name, error in by_generator.items()]
        return "\n".join(rows)


def check_policy(
    model: Any,
    env: Any,
    *,
    n: int = 32,
    rtol: float = 1e-4,
    rng: np.random.Generator | int | None = 0,
    group: Group | str | None = None,
) -> PolicyReport:
    """Check that a policy commutes with a group, on observations gathered by acting in an environment.

    Checked are ``mode(g s) = g mode(s)`` through ``predict``, and as far as the policy has them
    ``log_prob(g a | g s) = log_prob(a | s)``, ``V(g s) = V(s)`` and ``Q(g s, g a) = Q(s, a)``.

    Args:
        model: a model of Stable-Baselines3, or a policy of its own.
        env: Gymnasium or SB3 vector environment with typed spaces. It is reset and stepped.
        n: number of observations.
        rtol: largest error, relative to the largest size that the quantity has among the observations.
        rng: generator or seed that chooses where to look.
        group: ``"auto"`` or None for the group of the policy, or, if the policy does not claim any, that of the
            environment; ``"full"`` for that of the environment; or a subgroup of it or of its family
            (:func:`eqrl.symmetry.family`), by name or as a ``Group``.

    Returns:
        The measured errors.

    Raises:
        SymmetryError: at the first violation, with field, generator, sample and size.
        UntypedSpaceError: if a space does not say how it turns.
        ValueError: if observations are normalised outside the policy, the group is unknown or not one of the
            environment, or there is nothing in it to check.
    """
    _refuse_normalised_observations(model, env)
    observation_space, action_space = env.observation_space, env.action_space
    action_rep = representation_of(action_space)
    policy = getattr(model, "policy", model)
    chosen = _choose_group(group, policy, representation_of(observation_space))
    observations = _gather(model, env, n, np.random.default_rng(rng))
    actions = _off_the_rim(np.asarray(model.predict(observations, deterministic=False)[0]), action_space)
    quantities = _quantities(policy)
    report = PolicyReport(chosen, n)
    for name, g in chosen.generators:
        turned = transform_observation(observation_space, observations, g)
        mode = np.asarray(model.predict(observations, deterministic=True)[0])
        actual = np.asarray(model.predict(turned, deterministic=True)[0])
        expected = action_rep.transform(mode, g)
        for part, where in action_rep.slices.items():
            error = _compare(f"action field {part!r}", expected[:, where], actual[:, where], name, rtol)
            report.errors.setdefault("action", {})[name] = max(report.errors.get("action", {}).get(name, 0.0), error)
        turned_actions = action_rep.transform(actions, g)
        for quantity, measure in quantities.items():
            error = _compare(quantity, measure(observations, actions), measure(turned, turned_actions), name, rtol)
            report.errors.setdefault(quantity, {})[name] = error
    return report


def transform_observation(space: gymnasium.Space[Any], observation: Observation, g: Element) -> Observation:
    """Act with a group element on an observation, entry by entry if it is a dict.

    Args:
        space: the typed space.
        observation: array of shape ``(*batch, dim)``, or a dict of such arrays.
        g: a group element.
    """
    if isinstance(space, spaces.Dict):
        return {key: representation_of(space[key]).transform(value, g) for key, value in observation.items()}
    return representation_of(space).transform(observation, g)


def _choose_group(group: Group | str | None, policy: Any, observation: Representation) -> Group:
    declared = observation.group
    if group is None or group == "auto":
        claimed = getattr(policy, "group", None)
        # a policy that claims nothing is held against the environment; anything would pass otherwise
        group = claimed if isinstance(claimed, Group) and claimed.generators else declared
    elif group == "full":
        group = declared
    elif isinstance(group, str):
        group = _named_group(group)
    # networks on tokens may honour more than the world has: mirrors without the exchange of limbs that goes with them
    if not group.is_subgroup_of(declared) and not group.is_subgroup_of(family(observation)):
        raise ValueError(f"group {group} is not a subgroup of {declared}, which the environment declares")
    if not group.generators:
        if declared.generators:
            raise ValueError(
                f"group {group} declares no symmetry: nothing to check; the environment's own is {declared}"
            )
        raise ValueError(
            "the environment declares no symmetry: nothing to check; "
            "give its representations a group, Representation(fields, group=SO2) for instance"
        )
    return group


def _named_group(name: str) -> Group:
    known = ("auto", "full", *GROUPS)
    if name not in GROUPS:
        close = get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ValueError(f"unknown group {name!r}; {hint}Known are {known} and Group objects")
    return GROUPS[name]


def _refuse_normalised_observations(model: Any, env: Any) -> None:
    get = getattr(model, "get_vec_normalize_env", None)
    layers = [get()] if get is not None else []
    layer = env
    while layer is not None:
        layers.append(layer)
        layer = getattr(layer, "venv", None)
    wrapper: Any
    for wrapper in layers:
        if "VecNormalize" in (kind.__name__ for kind in type(wrapper).__mro__) and wrapper.norm_obs:
            raise ValueError(
                "VecNormalize scales every component of an observation by its own statistics, which stretches vectors"
                " and breaks their symmetry; use VecNormalize(env, norm_obs=False), the policies of eqrl normalise"
                " themselves"
            )


# ------------------------------------------------------------------ what is compared
def _quantities(policy: Any) -> Mapping[str, Callable[[Observation, Array], Array]]:
    """The scalar functions of observation and action that a policy of SB3 has, by duck typing."""
    if hasattr(policy, "evaluate_actions"):
        return {
            "value": lambda obs, _: _numpy(policy.predict_values(_tensor(policy, obs))),
            "log_prob": lambda obs, a: _numpy(
                policy.get_distribution(_tensor(policy, obs)).log_prob(_action(policy, a))
            ),
        }
    quantities: dict[str, Callable[[Observation, Array], Array]] = {}
    if hasattr(policy, "critic"):
        quantities["q"] = lambda obs, a: _numpy(_joined(policy.critic(_tensor(policy, obs), _scaled(policy, a))))
    actor = getattr(policy, "actor", None)
    if hasattr(actor, "get_action_dist_params"):
        quantities["log_prob"] = lambda obs, a: _actor_log_prob(policy, obs, a)
    return quantities


def _joined(values: Any) -> torch.Tensor:
    """Values of all Q-functions; TQC has them in one tensor."""
    return values if isinstance(values, torch.Tensor) else torch.cat(values, dim=-1)


def _actor_log_prob(policy: Any, observations: Observation, actions: Array) -> Array:
    with torch.no_grad():
        mean, log_std, kwargs = policy.actor.get_action_dist_params(_tensor(policy, observations))
        distribution = policy.actor.action_dist.proba_distribution(mean, log_std, **kwargs)
        return _numpy(distribution.log_prob(_scaled(policy, actions)))


def _tensor(policy: Any, observations: Observation) -> Any:
    policy.set_training_mode(False)
    return policy.obs_to_tensor(observations)[0]


def _action(policy: Any, actions: Array) -> torch.Tensor:
    return torch.as_tensor(actions, dtype=torch.float32, device=policy.device)


def _scaled(policy: Any, actions: Array) -> torch.Tensor:
    return _action(policy, policy.scale_action(actions))


def _numpy(x: torch.Tensor) -> Array:
    return x.detach().cpu().numpy().reshape(len(x), -1)


def _compare(quantity: str, expected: Array, actual: Array, generator: str, rtol: float) -> float:
    difference = np.abs(actual - expected).max(axis=-1)
    size = float(np.abs(expected).max())
    # invariants such as a log-density may be small by chance, and their rounding error is that of terms of size one
    scale = max(size, 1.0) if quantity in ("value", "q", "log_prob") else max(size, _ACTION_SCALE)
    wrong = ~(difference <= rtol * scale)  # also where something is not a number
    if wrong.any():
        step = int(np.flatnonzero(wrong)[0])
        raise SymmetryError(
            quantity,
            generator,
            step,
            float(difference[step]),
            f"relative to {scale:.3g} this is {difference[step] / scale:.1e}, and {rtol:.0e} is allowed",
        )
    return float(difference.max() / scale)


# ------------------------------------------------------------------ where to look
def _off_the_rim(actions: Array, space: spaces.Box) -> Array:
    """Actions drawn a tenth towards the middle of their box: at its rim the inverse of a squash magnifies rounding."""
    bounded = np.isfinite(space.low) & np.isfinite(space.high)
    middle = 0.5 * (np.where(bounded, space.low, 0.0) + np.where(bounded, space.high, 0.0))
    return np.where(bounded, middle + 0.9 * (actions - middle), actions).astype(actions.dtype)


def _gather(model: Any, env: Any, n: int, rng: np.random.Generator) -> Observation:
    """Observations of shape ``(n, ...)`` from acting at random times."""
    vectorised = hasattr(env, "step_async") or hasattr(env, "num_envs")
    observation = env.reset() if vectorised else env.reset(seed=int(rng.integers(2**31)))
    observation = observation[0] if isinstance(observation, tuple) else observation
    rows: list[Observation] = []
    while len(rows) < n:
        rows += _rows(observation) if vectorised else [observation]
        for _ in range(int(rng.integers(1, 4))):
            action = model.predict(observation, deterministic=False)[0]
            observation, *rest = env.step(action)
            if not vectorised and (rest[1] or rest[2]):
                observation = env.reset(seed=int(rng.integers(2**31)))[0]
    rows = rows[:n]
    if isinstance(rows[0], dict):
        return {key: np.stack([row[key] for row in rows]) for key in rows[0]}
    return np.stack(rows)


def _rows(observation: Observation) -> list[Observation]:
    if isinstance(observation, dict):
        count = len(next(iter(observation.values())))
        return [{key: value[i] for key, value in observation.items()} for i in range(count)]
    return list(observation)
