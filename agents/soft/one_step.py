"""Two models of one step, an exact and a free one, and a gate that finds out where the exact one is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from eqrl.agents.normalization import RunningNorm
from eqrl.nn import MLP, Gated, Padding, build, cleared
from eqrl.nn.gated import gate_network
from eqrl.symmetry import Field, Representation


class Lesson(NamedTuple):
    """What a minibatch of transitions teaches.

    Attributes:
        loss: to be minimised by the models and by their gate.
        gate: the gate, shape ``(B, 1)``, without gradient.
        exact_error: mean square error of the exact model, in units of the variance of what it predicts.
        free_error: that of the free model.
    """

    loss: Tensor
    gate: Tensor
    exact_error: Tensor
    free_error: Tensor


class OneStepModels(nn.Module):
    """Predictions of the change of the features and of the reward, from features and action.

    Both models learn from the same transitions by least squares. The gate makes the mixture of their predictions best,
    at a price for leaving the exact one:

        ``|| y - exact(x) - gate(x) (free(x) - exact(x)) ||^2 + tolerance^2 gate(x)``

    With ``d`` for the disagreement, its optimum is ``<y - exact, d> / ||d||^2 - tolerance^2 / (2 ||d||^2)`` within 0 and
    1. So it is 0 where the models agree to within ``0.7 tolerance``, and where the free model has not learnt enough to
    be better; it is close to 1 where they disagree by much more and the free model is right. Noise of the transitions
    has no effect on the mean. Predictions are in units of their standard deviation, pooled over orbits.

    Args:
        observation: representation of the features.
        in_rep: representation of features and action.
        like: a gated network of the policy, whose exact pathway the exact model has.
        hidden: widths of the hidden layers of both models and of the gate.
        tolerance: disagreement that counts as none, in standard deviations.
    """

    changing: Tensor

    def __init__(
        self,
        observation: Representation,
        in_rep: Representation,
        like: Gated,
        hidden: Sequence[int],
        tolerance: float,
    ) -> None:
        super().__init__()
        self.tolerance = tolerance
        known = [field for field in observation.fields if field.name not in observation.markers]
        fields = (*(replace(f, name=f"change/{f.name}", role="") for f in known), Field("reward", "1x0e"))
        entities = tuple(replace(entity_set, mask=None) for entity_set in observation.entities)
        out_rep = Representation(fields, entities, observation.group)
        self.exact = build(like.exact.label, in_rep, out_rep, like.soft_group, hidden=hidden, **like.exact_kwargs)
        self.free = MLP(in_rep, out_rep, hidden=hidden)
        self.gate = gate_network(in_rep.dim, hidden)
        unmasked = tuple(replace(field, mask=None) for field in fields)
        self.norm = RunningNorm(Representation(unmasked, entities, observation.group), like.soft_group)
        self.padding = Padding.of(out_rep, in_rep)
        where = [torch.arange(observation.dim)[observation.slices[field.name]] for field in known]
        self.register_buffer("changing", torch.cat(where), persistent=False)

    def forward(self, x: Tensor, features: Tensor, next_features: Tensor, rewards: Tensor) -> Lesson:
        """Learn from transitions.

        Args:
            x: features and actions, shape ``(B, in_rep.dim)``.
            features: shape ``(B, observation.dim)``.
            next_features: those after the step.
            rewards: shape ``(B, 1)``.
        """
        y = torch.cat([(next_features - features).index_select(1, self.changing), rewards], dim=1)
        if self.padding is not None:
            y = cleared(y, self.padding.valid(x))
        self.norm.collect(y)
        self.norm.commit()
        y = self.norm(y)
        exact, free, gate = self.exact(x), self.free(x), self.gate(x).sigmoid()
        exact_error, free_error = mse_loss(exact, y), mse_loss(free, y)
        disagreement, residual = (free - exact).detach(), (y - exact).detach()
        price = self.tolerance**2 * gate.mean()
        missed = (residual - gate * disagreement).square().sum(1).mean()
        return Lesson(
            exact_error + free_error + missed + price, gate.detach(), exact_error.detach(), free_error.detach()
        )
