"""What diagnostics look at: the differentiable functions of a policy, and a batch of what it has experienced."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor, nn

from eqrl.arrays import Floats

Observations = Any  # a tensor of shape (B, dim), or a dict of them


class Functions:
    """Actor and value of a model, as functions that can be differentiated.

    Actions are in the algorithm's units: PPO's are those of the environment, those of SAC and TD3 those of the bounds.

    Args:
        model: PPO, SAC, TD3 or an algorithm with the same policies.
    """

    def __init__(self, model: BaseAlgorithm) -> None:
        self.policy: Any = model.policy
        self._is_on_policy = isinstance(model, OnPolicyAlgorithm)

    def actor(self, observations: Observations) -> Tensor:
        """Most likely actions, ``(B, A)``."""
        if self._is_on_policy:
            mode: Tensor = self.policy.get_distribution(observations).mode()
            return mode
        actor = self.policy.actor
        actions: Tensor = actor(observations, True) if hasattr(actor, "action_log_prob") else actor(observations)
        return actions

    @torch.no_grad()
    def gait(self, observations: Observations) -> Floats:
        """The actor's output as numbers. What was done in training is mostly noise, whose shares tell nothing."""
        return np.asarray(self.actor(observations).cpu(), dtype=np.float64)

    def value(self, observations: Observations, actions: Tensor) -> Tensor:
        """``V(s)``, which takes no actions, or the mean of all ``Q(s, a)``, shape ``(B, 1)``."""
        if self._is_on_policy:
            value: Tensor = self.policy.predict_values(observations)
            return value
        values = self.policy.critic(observations, actions)
        values = values if isinstance(values, Tensor) else torch.cat(values, dim=-1)
        return values.mean(dim=-1, keepdim=True)

    def parameters(self, what: str) -> list[nn.Parameter]:
        """Those parameters that ``"actor"`` or ``"value"`` may depend on."""
        if self._is_on_policy:
            owner: nn.Module = self.policy
        else:
            owner = self.policy.actor if what == "actor" else self.policy.critic
        return [p for p in owner.parameters() if p.requires_grad]


@dataclass(frozen=True)
class Sample:
    """A batch of experience.

    Attributes:
        observations: as the policy takes them.
        actions: what was done, in the algorithm's units, ``(B, A)``.
        targets: what the value is pulled to where gradients are compared: returns, one-step targets, or rewards alone,
            ``(B, 1)``.
    """

    observations: Observations
    actions: Tensor
    targets: Tensor

    def __len__(self) -> int:
        """Number of observations."""
        return len(self.actions)

    def __getitem__(self, rows: slice) -> Sample:
        """Some of the rows."""
        observations = self.observations
        picked = {k: v[rows] for k, v in observations.items()} if isinstance(observations, dict) else observations[rows]
        return Sample(picked, self.actions[rows], self.targets[rows])


def play(model: BaseAlgorithm, env: VecEnv, n: int) -> Sample:
    """Let a model act, as it does in training.

    Args:
        model: the model.
        env: it is reset and stepped.
        n: number of observations.
    """
    functions = Functions(model)
    rows: list[tuple[Any, ...]] = []
    observations: Any = env.reset()
    while len(rows) * env.num_envs < n:
        actions = np.asarray(model.predict(observations, deterministic=False)[0])
        following, rewards, dones, _ = env.step(actions)
        rows.append((observations, actions, rewards, following, dones))
        observations = following
    seen, acted, earned, then, ended = (_stacked([row[i] for row in rows], n) for i in range(5))
    policy: Any = model.policy
    policy.set_training_mode(False)
    units = acted if isinstance(model, OnPolicyAlgorithm) else policy.scale_action(acted)
    here, after = policy.obs_to_tensor(seen)[0], policy.obs_to_tensor(then)[0]
    done = torch.as_tensor(units, dtype=torch.float32, device=policy.device)
    with torch.no_grad():
        value = functions.value(after, functions.actor(after)).cpu().numpy().ravel()
    targets = earned + float(getattr(model, "gamma", 0.99)) * value * (1.0 - ended)
    return Sample(here, done, torch.as_tensor(targets, dtype=torch.float32, device=policy.device)[:, None])


def recall(model: BaseAlgorithm, n: int) -> Sample | None:
    """The last experience of a model in training, from its own buffer; None as long as there is not enough.

    No random numbers are drawn, so that the training goes on as it would have.

    Args:
        model: a model in training.
        n: number of observations.
    """
    policy: Any = model.policy
    policy.set_training_mode(False)
    if isinstance(model, OnPolicyAlgorithm):
        buffer: Any = model.rollout_buffer
        if not buffer.full:
            return None
        # SB3 joins the axes of steps and environments when it draws the first minibatch
        axes = 1 if buffer.generator_ready else 2
        parts = buffer.observations, buffer.actions, buffer.returns
        observations, actions, targets = (_spread(x, n, axes) for x in parts)
    else:
        assert isinstance(model, OffPolicyAlgorithm)
        buffer = model.replay_buffer
        if buffer is None or buffer.size() * buffer.n_envs < n:
            return None
        steps = -(-n // buffer.n_envs)
        last = np.arange(buffer.pos - steps, buffer.pos) % max(buffer.size(), 1)
        observations, actions = (_spread(_rows(x, last), n) for x in (buffer.observations, buffer.actions))
        targets = _spread(buffer.rewards[last], n)
    done, goals = (torch.as_tensor(x, dtype=torch.float32, device=policy.device) for x in (actions, targets))
    return Sample(policy.obs_to_tensor(observations)[0], done, goals.reshape(-1, 1))


def _rows(x: Any, rows: Any) -> Any:
    return {k: v[rows] for k, v in x.items()} if isinstance(x, dict) else x[rows]


def _spread(x: Any, n: int, axes: int = 2) -> Any:
    """``n`` evenly spaced rows of an array whose first axes are steps and environments, or of a dict of these."""
    if isinstance(x, dict):
        return {key: _spread(value, n, axes) for key, value in x.items()}
    flat = x.reshape(-1, *x.shape[axes:])
    return flat[np.linspace(0, len(flat) - 1, min(n, len(flat))).astype(int)]


def _stacked(rows: list[Any], n: int) -> Any:
    if isinstance(rows[0], dict):
        return {key: np.concatenate([row[key] for row in rows])[:n] for key in rows[0]}
    return np.concatenate(rows)[:n]
