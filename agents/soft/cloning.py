"""How a policy is fitted to a teacher on the orbits of what the teacher saw."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from eqrl.agents.features import TypedFeatures
from eqrl.agents.orbit import Orbit
from eqrl.agents.ppo_policy import EquivariantPolicy
from eqrl.agents.sac_policy import EquivariantSACPolicy
from eqrl.agents.soft.consistency import Function, joined, length, mean_square
from eqrl.agents.td3_policy import EquivariantTD3Policy
from eqrl.symmetry import Group

_RANDOM_WIDTH = (64, 64)


@dataclass(frozen=True)
class Lesson:
    """What a teacher shows.

    Attributes:
        observations: those that it met, a tensor of shape ``(n, dim)`` or a dict of them.
        actions: what it did there, exploration included, shape ``(n, action_dim)``, in the units of the pupil's loss.
        targets: what it would most likely have done, likewise.
        values: its values of the observations, or of these and the actions, shape ``(n, critics)``; None if it has none
            of the pupil's kind.
    """

    observations: Any
    actions: Tensor
    targets: Tensor
    values: Tensor | None


def most_likely(policy: Any) -> Function:
    """The most likely actions of a policy: in the environment's units in PPO, in units of the bounds in SAC and TD3."""
    if hasattr(policy, "get_distribution"):
        return lambda x: policy.get_distribution(x).mode()
    if hasattr(policy.actor, "action_log_prob"):
        return lambda x: policy.actor(x, True)
    actor: Function = policy.actor
    return actor


def random_teacher(model: BaseAlgorithm, group: Group) -> BasePolicy:
    """An exact policy with random parameters, whose outputs are as large as those of any layer."""
    kinds = (EquivariantSACPolicy, EquivariantTD3Policy) if isinstance(model, OffPolicyAlgorithm) else ()
    kind: Any = kinds[0 if hasattr(model.policy.actor, "action_log_prob") else 1] if kinds else EquivariantPolicy
    teacher = kind(
        model.observation_space,
        model.action_space,
        lambda _: 0.0,
        group=group,
        network_kwargs={"hidden": _RANDOM_WIDTH, "output_gain": 1.0},
    ).to(model.device)
    teacher.set_training_mode(False)
    return teacher  # type: ignore[no-any-return]


@torch.no_grad()
def lesson(teacher: BaseAlgorithm | BasePolicy, model: BaseAlgorithm, samples: int) -> Lesson:
    """Let a teacher act in the environment of a model, which starts anew afterwards."""
    env, policy = model.env, model.policy
    assert isinstance(env, VecEnv)
    seen: list[Any] = [env.reset()]
    done = []
    for _ in range(math.ceil(samples / env.num_envs)):
        actions, _ = teacher.predict(seen[-1], deterministic=False)
        done.append(actions)
        seen.append(env.step(actions)[0])
    model._last_obs = None  # ``learn`` resets the environment
    observations = joined([policy.obs_to_tensor(observation)[0] for observation in seen[:-1]])
    arrays = {k: v.cpu().numpy() for k, v in observations.items()} if isinstance(observations, dict) else None
    targets, _ = teacher.predict(observations.cpu().numpy() if arrays is None else arrays, deterministic=True)
    scale = policy.scale_action if isinstance(model, OffPolicyAlgorithm) else np.asarray
    acted = torch.as_tensor(scale(np.concatenate(done)), device=model.device)
    known = teacher.policy if isinstance(teacher, BaseAlgorithm) else teacher
    alike = hasattr(known, "predict_values") == isinstance(model, OnPolicyAlgorithm)
    values = _values(known, observations, acted) if alike else None
    return Lesson(observations, acted, torch.as_tensor(scale(targets), device=model.device), values)


def clone(model: BaseAlgorithm, orbit: Orbit, shown: Lesson, steps: int, batch_size: int, learning_rate: float) -> None:
    """Fit the networks of a model to what a teacher showed, turned by random elements.

    Actions and values are fitted together; each is measured in units of the variance of the teacher's. Normalisers of
    the policy see the same observations beforehand: if their statistics began with what the clone will meet, they would
    change the clone under its feet.
    """
    policy: Any = model.policy
    policy.set_training_mode(True)
    everything = orbit.observations(shown.observations, orbit.draw(length(shown.observations)))
    for part in policy.modules():
        if isinstance(part, TypedFeatures):
            part.observe(everything, commit=True)
    optimizer = torch.optim.Adam([p for p in policy.parameters() if p.requires_grad], learning_rate)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    mode = most_likely(policy)
    spread = shown.targets.square().mean().clamp(min=1e-8)
    deviation = None if shown.values is None else shown.values.var().clamp(min=1e-8)
    for _ in range(steps):
        rows = torch.randint(length(shown.observations), (batch_size,), device=model.device)
        g = orbit.draw(batch_size)
        x = orbit.observations(_rows(shown.observations, rows), g)
        loss = mean_square(mode(x), orbit.actions(shown.targets[rows], g), orbit.valid(x)) / spread
        if deviation is not None:
            assert shown.values is not None
            values = _values(policy, x, orbit.actions(shown.actions[rows], g))
            loss = loss + mse_loss(values, _like(shown.values[rows], values)) / deviation
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        decay.step()
    _take_over(policy)
    policy.set_training_mode(False)


def _values(policy: Any, observations: Any, actions: Tensor) -> Tensor:
    if hasattr(policy, "predict_values"):
        values: Tensor = policy.predict_values(observations)
        return values
    return torch.cat(policy.critic(observations, actions), dim=-1)


def _like(values: Tensor, wanted: Tensor) -> Tensor:
    """The values of a teacher for a pupil with another number of critics: the mean for each of them."""
    return values if values.shape == wanted.shape else values.mean(-1, keepdim=True).expand_as(wanted)


def _take_over(policy: Any) -> None:
    """Let the target networks start from the fitted ones."""
    for name in ("actor", "critic"):
        target = getattr(policy, f"{name}_target", None)
        if isinstance(target, nn.Module):
            target.load_state_dict(getattr(policy, name).state_dict())


def _rows(observations: Any, rows: Tensor) -> Any:
    if isinstance(observations, dict):
        return {key: value[rows] for key, value in observations.items()}
    return observations[rows]
