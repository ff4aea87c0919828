"""The gate of network ``gated`` learns where the world keeps its symmetry, from two models of one step.

After PI-MDP and PE-SAC (arXiv 2512.00915, ICLR 2026): the disagreement of an equivariant and an unconstrained one-step
predictor tells where the symmetry is broken. Thresholds, losses and sizes of the paper were not reachable. The loss of
the gate (:mod:`eqrl.agents.soft.one_step`), sizes and rates are ours, and so is the use with PPO and TD3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from torch import Tensor
from torch.nn.functional import mse_loss

from eqrl.agents.networks import GroupChoice
from eqrl.agents.soft.one_step import OneStepModels, held_out
from eqrl.agents.soft.pathways import actor_and_critic
from eqrl.agents.soft.prior import SymmetryPrior, weight, whole_number
from eqrl.nn import Gated

_MINIBATCH = 256
_OF_ENVIRONMENTS = 4  # one of so many is held out


class TaughtGate(SymmetryPrior):
    """Exact, nearly, where the world is, and free where it is broken.

    Two models predict the change of the observation and the reward of each transition. The gates of actor and critic
    learn how much worse the exact one is than the free one, in units of what they differ by, on transitions from which
    the models do not learn: gates of states and actions for Q-functions, gates of states, which are means over actions,
    for actors and values. PPO's gates learn from each rollout after PPO does; every fourth environment is held out, or
    a quarter of all transitions where there are fewer than four. Those of SAC and TD3 learn from the minibatches of the
    replay buffer, of which a quarter is held out.

    A gate opens as soon as the free model has learnt a part of the breaking, which takes longer where contacts make
    steps hard to predict. Until then it stays closed, and the policy is the exact one. Noise opens it a little in an
    exact world: by 0.05 on the mean. Logged are ``gate`` and
    ``gate_95``, mean and 95 % quantile of the actor's gate (the critic's, if the actor has none) on what is held out,
    and the errors ``exact_error`` and ``free_error`` of the models: squares in units of standard deviations, summed
    over all that they predict.

    Args:
        group: a subgroup of the environment's group; the network's exact pathway decides what is favoured.
        strength: disagreement of the two models, in standard deviations of what they predict, up to which the exact one
            is believed.
        learning_rate: of the models and of all gates.
        hidden: widths of the hidden layers of the models.
        epochs: passes over a rollout of PPO.

    Raises:
        ValueError: for a strength that is negative or not finite, or another option that is not positive.
    """

    name: ClassVar[str] = "gated"
    network: ClassVar[str | None] = Gated.label

    def __init__(
        self,
        group: GroupChoice | None = None,
        strength: float = 0.1,
        learning_rate: float = 1e-3,
        hidden: Sequence[int] = (64, 64),
        epochs: int = 2,
    ) -> None:
        super().__init__(group, strength)
        if weight("learning_rate", learning_rate) == 0.0:
            raise ValueError("learning_rate=0 learns nothing; give a positive number, such as 1e-3")
        if not isinstance(hidden, Sequence) or isinstance(hidden, str):
            raise ValueError(f"hidden={hidden!r} is not a list of widths; give one for each layer, such as (64, 64)")
        self.learning_rate = float(learning_rate)
        self.hidden = tuple(whole_number("hidden", width, "a list of widths") for width in hidden)
        self.epochs = whole_number("epochs", epochs, "a number of passes")

    def bind(self, model: BaseAlgorithm) -> None:
        """Create the models.

        Raises:
            ValueError: if no network of the policy is a ``gated`` one.
        """
        self.actor, self.critic = actor_and_critic(model, Gated, self.name)
        policy: Any = model.policy
        self.policy, self.on_policy = policy, isinstance(model, OnPolicyAlgorithm)
        gated = [*self.actor, *self.critic]
        networks = policy.networks
        self.models = OneStepModels(
            networks.observation, networks.observation_and_action, gated[0], self.hidden, self.strength
        ).to(model.device)
        self.parameters = [*self.models.parameters(), *(p for net in gated for p in net.gate_net.parameters())]
        self.optimizer = torch.optim.Adam(self.parameters, lr=self.learning_rate, fused=True)
        self.transitions: list[Any] = []  # of a rollout, during PPO's update

    # ------------------------------------------------------------------ where transitions come from
    def before_update(self) -> None:
        """Keep the transitions of PPO's rollout, which its update shuffles."""
        assert self.model is not None
        if not isinstance(self.model, OnPolicyAlgorithm):
            return
        buffer, device = self.model.rollout_buffer, self.model.device
        goes_on = buffer.episode_starts[1:] == 0.0  # what follows the end of an episode is another one

        def chosen(values: Any, later: bool = False) -> Any:
            if isinstance(values, dict):
                return {key: chosen(value, later) for key, value in values.items()}
            return torch.as_tensor((values[1:] if later else values[:-1])[goes_on], device=device)

        self.transitions = [
            chosen(buffer.observations),
            chosen(buffer.actions),
            chosen(buffer.observations, later=True),
            chosen(buffer.rewards)[:, None],
        ]
        if buffer.n_envs >= _OF_ENVIRONMENTS:
            environments = np.broadcast_to(np.arange(buffer.n_envs), buffer.rewards.shape)
            self.transitions.append(chosen(environments % _OF_ENVIRONMENTS == 0))

    def after_update(self) -> None:
        """Learn from the rollout. Before PPO's update, this would change the policy that PPO believes to have acted."""
        if not self.transitions:
            return
        transitions, self.transitions = self.transitions, []
        count, device = len(transitions[-1]), transitions[-1].device
        for _ in range(self.epochs):
            for rows in torch.split(torch.randperm(count), _MINIBATCH):
                self.teach(*(_rows(part, rows.to(device)) for part in transitions))

    def see(self, drawn: Any, learnt: Any) -> None:
        """Learn from a minibatch of the replay buffer, before augmentations hide what is broken in it."""
        if not self.on_policy:
            self.teach(drawn.observations, drawn.actions, drawn.next_observations, drawn.rewards)

    # ------------------------------------------------------------------ learning
    def teach(
        self, observations: Any, actions: Tensor, next_observations: Any, rewards: Tensor, held: Tensor | None = None
    ) -> None:
        """One gradient step of the models and of all gates.

        Args:
            observations: a minibatch, as the policy gets it.
            actions: in the units of the algorithm, shape ``(B, action_dim)``.
            next_observations: those after the step.
            rewards: shape ``(B, 1)``.
            held: which transitions the models do not learn from, shape ``(B,)``, bool; None to choose a quarter.
        """
        with torch.no_grad():
            states, later, pairs = self._inputs(observations, next_observations, actions)
        held = held_out(_seen(observations)) if held is None else held
        if not held.any():
            return
        with torch.enable_grad():
            lesson = self.models(pairs, states, later, rewards, held)
            evidence = lesson.evidence[held]
            losses = [lesson.loss]
            for nets, x in ((self.actor, states), (self.critic, states if self.on_policy else pairs)):
                inputs = x[held]
                losses += [mse_loss(net.evidence(inputs), evidence) for net in nets]
            torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.optimizer.zero_grad()  # the optimizers of the policy shall see no gradient of a gate
        self._log_gate(states[held], pairs[held])
        self.record("evidence", float(lesson.evidence[held].mean()))
        self.record("exact_error", float(lesson.exact_error))
        self.record("free_error", float(lesson.free_error))

    @torch.no_grad()
    def _log_gate(self, states: Tensor, pairs: Tensor) -> None:
        nets, x = (self.actor, states) if self.actor or self.on_policy else (self.critic, pairs)
        gate = (nets or self.critic)[0].gate(x)
        self.record("gate", float(gate.mean()))
        self.record("gate_95", float(gate.quantile(0.95)))

    def _inputs(self, observations: Any, next_observations: Any, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features now and after the step, and features with actions."""
        policy = self.policy
        if not self.on_policy:
            features = policy.critic.features_extractor
            states = features(observations)
            return states, features(next_observations), policy.critic.inputs(states, actions)
        states = policy.pi_features_extractor(observations)
        actions = policy.geometry.project(actions)
        if policy.action_padding is not None:
            actions = torch.where(policy.action_padding.valid(states), actions, 0.0)
        pairs = torch.cat([states, _in_units(actions, policy.action_space)], dim=1)
        return states, policy.pi_features_extractor(next_observations), pairs

    # ------------------------------------------------------------------ checkpoints
    def state(self) -> dict[str, Any]:
        """The models, and the optimizer's moments; the gates themselves are part of the policy."""
        moments = [self.optimizer.state.get(parameter, {}) for parameter in self.parameters]
        return {"models": _arrays(self.models.state_dict()), "optimizer": [_arrays(each) for each in moments]}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See the base class."""
        self.models.load_state_dict(_tensors(state["models"]))
        for parameter, moments in zip(self.parameters, state["optimizer"], strict=True):
            if moments:
                tensors = _tensors(moments)
                if any(tensors[key].shape != parameter.shape for key in ("exp_avg", "exp_avg_sq")):
                    raise ValueError("moments of the optimizer do not fit the models")
                # a fused optimizer counts its steps on the device
                self.optimizer.state[parameter] = {key: value.to(parameter.device) for key, value in tensors.items()}


def _in_units(actions: Tensor, space: spaces.Box) -> Tensor:
    """Actions in units of their bounds, where these are finite; that commutes with a group which keeps the box."""
    low, high = (torch.as_tensor(bound, device=actions.device) for bound in (space.low, space.high))
    finite = low.isfinite() & high.isfinite()
    scaled = 2.0 * (actions - low) / (high - low) - 1.0
    return torch.where(finite, scaled.clamp(-1.0, 1.0), actions)


def _seen(observations: Any) -> Tensor:
    """What was observed, shape ``(B, n)``; goals, which hindsight changes, are left out."""
    if isinstance(observations, dict):
        parts = [value for key, value in sorted(observations.items()) if key != "desired_goal"]
        observations = torch.cat([part.flatten(1) for part in parts], dim=1)
    seen: Tensor = observations.float()
    return seen


def _rows(part: Any, rows: Tensor) -> Any:
    return {key: value[rows] for key, value in part.items()} if isinstance(part, dict) else part[rows]


def _arrays(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    return {key: value.detach().cpu().numpy().copy() for key, value in tensors.items()}


def _tensors(arrays: Mapping[str, Any]) -> dict[str, Tensor]:
    return {key: torch.as_tensor(np.array(value)) for key, value in arrays.items()}
