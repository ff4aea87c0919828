"""Two models of one step, an exact and a free one, which tell where the exact one is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from eqrl.agents.normalization import RunningNorm
from eqrl.nn import MLP, Gated, Padding, build, cleared
from eqrl.symmetry import Field, Representation

_TINY = 1e-12


class Lesson(NamedTuple):
    """What a minibatch of transitions teaches.

    Attributes:
        loss: of the models, on transitions that are not held out.
        evidence: :func:`evidence_of` the square errors, shape ``(B, 1)``.
        exact_error: mean square error of the exact model on transitions that are held out.
        free_error: that of the free model.
    """

    loss: Tensor
    evidence: Tensor
    exact_error: Tensor
    free_error: Tensor


class OneStepModels(nn.Module):
    """Predictions of the change of the features and of the reward, from features and action.

    Both models learn from the same transitions, in units of standard deviations that are pooled over orbits. They
    minimise distances, not squares, except below the tolerance: the exact model then follows the majority of an orbit
    and is right at the images of a place where the world is broken, instead of a little wrong at all of them. Of two
    images, neither is the majority, and both count as broken.

    Some transitions are held out. On these, the mean of :func:`evidence_of` the square errors is negative where the
    exact model is as good as the free one, and positive where it is worse by more than the tolerance. Noise adds the
    same to both errors, and the quotient bounds what a single transition says.

    Args:
        observation: representation of the features.
        in_rep: representation of features and action.
        like: a gated network of the policy, whose exact pathway the exact model has.
        hidden: widths of the hidden layers of both models.
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
        unmasked = tuple(replace(field, mask=None) for field in fields)
        self.norm = RunningNorm(Representation(unmasked, entities, observation.group), like.soft_group)
        self.padding = Padding.of(out_rep, in_rep)
        where = [torch.arange(observation.dim)[observation.slices[field.name]] for field in known]
        self.register_buffer("changing", torch.cat(where), persistent=False)

    def forward(self, x: Tensor, features: Tensor, next_features: Tensor, rewards: Tensor, held_out: Tensor) -> Lesson:
        """Learn from transitions.

        Args:
            x: features and actions, shape ``(B, in_rep.dim)``.
            features: shape ``(B, observation.dim)``.
            next_features: those after the step.
            rewards: shape ``(B, 1)``.
            held_out: which transitions the models do not learn from, shape ``(B,)``, bool.
        """
        y = torch.cat([(next_features - features).index_select(1, self.changing), rewards], dim=1)
        if self.padding is not None:
            y = cleared(y, self.padding.valid(x))
        self.norm.collect(y)
        self.norm.commit()
        y = self.norm(y)
        exact, free = ((model(x) - y).square().sum(1) for model in (self.exact, self.free))
        price = max(self.tolerance**2, _TINY)
        distances = (exact + price).sqrt() + (free + price).sqrt()
        exact, free = exact.detach(), free.detach()
        evidence = evidence_of(exact, free, price)
        return Lesson(
            torch.where(held_out, 0.0, distances).mean(),
            evidence[:, None],
            exact[held_out].mean(),
            free[held_out].mean(),
        )


def evidence_of(exact: Tensor, free: Tensor, price: float) -> Tensor:
    """``(E - F - t) / (E + F + t)`` for square errors E of an exact and F of a free model, and the price t."""
    return (exact - free - price) / (exact + free + price)


def held_out(values: Tensor) -> Tensor:
    """A quarter of some rows, shape ``(B, n)`` float32, that depends on the contents of each row alone.

    A transition so stays held out in every minibatch, wherever a buffer stores it.
    """
    bits = values.contiguous().view(torch.int32).long()
    # odd factors mix the bits of different columns; the middle bits of the sum depend on all lower ones
    factors = torch.arange(1, 2 * values.shape[1], 2, device=values.device) * 0x9E3779B1
    return ((bits * factors).sum(1) >> 29) % 4 == 0
