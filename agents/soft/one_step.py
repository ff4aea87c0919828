"""Two models of one step, an exact and a free one, which tell where the exact one is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from eqrl.agents.normalization import RunningNorm
from eqrl.nn import MLP, Gated, Padding, build, cleared
from eqrl.symmetry import Element, Field, Group, Representation

_TINY = 1e-12
_IMAGES = 7  # of an input, at most


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

    The free model is the exact one and a remainder without symmetry, which begins at zero and learns what the exact one
    misses. Some of that keeps the symmetry too, such as what a small network cannot learn. It says nothing of the
    world, so the exact model that is compared has it as well: at each input, it takes the mean remainder of the images
    of this input, of the half that agree best. Without this, the free model had to learn a whole world before it could
    be the better one, and a breaking smaller than its errors stayed unseen.

    Both learn from the same transitions, in units of standard deviations that are pooled over orbits. They minimise
    distances, not squares, except below the tolerance. The exact model then follows the majority of an orbit, in its
    weights as among the images, and is right at the images of a place where the world is broken, instead of a little
    wrong at all of them. Of two images, neither is the majority, and both count as broken.

    Some transitions are held out. On these, the mean of :func:`evidence_of` is negative where the exact model is as
    good as the free one, and positive where it is worse by more than the tolerance.

    Args:
        observation: representation of the features.
        in_rep: representation of features and action.
        like: a gated network of the policy, whose exact pathway the exact model has.
        hidden: widths of the hidden layers of the exact model and of the remainder.
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
        options = {**like.exact_kwargs, "hidden": hidden, "output_gain": 1.0}
        self.exact = build(like.exact.label, in_rep, out_rep, like.soft_group, **options)
        self.remainder = MLP(in_rep, out_rep, hidden=hidden, output_gain=0.0)
        self.in_rep, self.out_rep = in_rep, out_rep
        self.images = _others(like.soft_group)
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
        missed, remainder = self.exact(x) - y, self.remainder(x)
        price = max(self.tolerance**2, _TINY)
        distances = _distance(missed, price) + _distance(missed.detach() + remainder, price)
        with torch.no_grad():
            symmetric = self.from_images(x)
            exact, free, apart = (
                part.square().sum(1) for part in (missed + symmetric, missed + remainder, symmetric - remainder)
            )
        evidence = evidence_of(exact, free, apart, price)
        return Lesson(
            torch.where(held_out, 0.0, distances).mean(),
            evidence[:, None],
            exact[held_out].mean(),
            free[held_out].mean(),
        )

    @torch.no_grad()
    def from_images(self, x: Tensor) -> Tensor:
        """The mean remainder of the images of inputs ``(B, in_rep.dim)``, of the half around the one in the middle."""
        count = len(self.images.R)
        if not count:
            return self.remainder(x)  # type: ignore[no-any-return]
        g = self.images.reshape(count, 1)
        images = self.in_rep.transform(x.expand(count, *x.shape), g)
        there = self.remainder(images.flatten(0, 1)).view(count, len(x), -1)
        back = self.out_rep.transform(there, g.inverse()).transpose(0, 1)
        distances = torch.cdist(back, back)
        middle = distances.sum(2).argmin(1)
        rows = torch.arange(len(x), device=x.device)
        majority = distances[rows, middle].topk(count // 2 + 1, dim=1, largest=False).indices
        mean: Tensor = back[rows[:, None], majority].mean(1)
        return mean


def _distance(missed: Tensor, price: float) -> Tensor:
    return (missed.square().sum(1) + price).sqrt()


def _others(group: Group) -> Element:
    """Elements beside the identity, batch shape ``(n,)``: all of a small group, and always the same few of others."""
    if group.order is not None and group.order <= _IMAGES + 1:
        return group.elements()[1:]
    return group.sample(_IMAGES, rng=0)


def evidence_of(exact: Tensor, free: Tensor, apart: Tensor, price: float) -> Tensor:
    """``(E - F - t) / (D + t)`` for an exact and a free model that predict one outcome.

    E and F are their square errors, D is the square of the distance between the predictions, and t the price. In the
    mean, E - F is D if the free model is right and -D if the exact one is. Noise of the outcome adds nothing to that,
    however large it is against D.
    """
    return (exact - free - price) / (apart + price)


def held_out(values: Tensor) -> Tensor:
    """A quarter of some rows ``(B, n)``, float32: a bool for each, which depends on the contents of the row alone.

    A transition so stays held out in every minibatch, wherever a buffer stores it.
    """
    bits = values.contiguous().view(torch.int32).long()
    # odd factors mix the bits of different columns; the middle bits of the sum depend on all lower ones
    factors = torch.arange(1, 2 * values.shape[1], 2, device=values.device) * 0x9E3779B1
    return ((bits * factors).sum(1) >> 29) % 4 == 0
