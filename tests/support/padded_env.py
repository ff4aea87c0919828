"""A swarm of two to four members with padded slots, and helpers that change its padding."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray

from eqrl.symmetry import O2, EntitySet, Field, Group, Representation, TypedBox, adjacency

Array = NDArray[np.float32]
SIZES = (2, 4)  # members of the two kinds of swarms


def representations(
    slots: int = 5, exchangeable: bool = True, group: Group = O2
) -> tuple[Representation, Representation]:
    """Observation and action of a swarm; every kind of field that a set may have."""
    swarm = EntitySet("swarm", ("member",) * slots, exchangeable=exchangeable)
    observed = EntitySet("swarm", ("member",) * slots, mask="real", exchangeable=exchangeable)
    fields = (
        Field("goal", "1x1o", role="goal"),
        Field("course", "1x1o", role="heading"),
        Field("height", "1x0e"),
        Field("real", "1x0e", entities="swarm"),
        Field("leader", f"{slots}x0e", entities="swarm", role="parent"),
        Field("where", "1x1o", entities="swarm", role="position"),
        Field("velocity", "1x1o", entities="swarm"),
        Field("drift", "1x1o", entities="swarm", horizontal=True),
        Field("charge", "2x0e", entities="swarm"),
    )
    acts = (Field("force", "1x1o", entities="swarm"), Field("brake", "1x0e", entities="swarm"), Field("push", "1x1o"))
    return Representation(fields, (observed,), group), Representation(acts, (swarm,), group)


class Swarm(gymnasium.Env[Array, Array]):
    """Point masses in a plane and a push for all of them shall bring the swarm to its goal.

    Args:
        slots: slots for members.
        filler: size of the garbage that stands in slots of padding.
        exchangeable: whether the members may change places freely.
        length: steps of an episode.
    """

    def __init__(self, slots: int = 5, filler: float = 0.0, exchangeable: bool = True, length: int = 25) -> None:
        observation, action = representations(slots, exchangeable)
        self.observation_space = TypedBox(observation)
        self.action_space = TypedBox(action, -1.0, 1.0)
        self.representation = observation
        self.slots, self.filler, self.length = slots, filler, length
        self.garbage = np.random.default_rng(0)  # separate, so that other random numbers do not change
        self.acted: list[Array] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        super().reset(seed=seed)
        self.clock = 0
        self.n = int(self.np_random.choice(SIZES))
        self.x, self.v = self.np_random.normal(size=(2, self.n, 3))
        self.charge = self.np_random.normal(size=(self.n, 2))
        self.goal = self.np_random.normal(size=3)
        return self._observe(), {}

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        self.acted.append(np.array(action))
        n, slots = self.n, self.slots
        force = np.asarray(action[: 3 * slots], dtype=np.float64).reshape(slots, 3)[:n]
        brake = np.asarray(action[3 * slots : 4 * slots], dtype=np.float64)[:n]
        self.v = (0.9 - 0.1 * brake[:, None]) * self.v + 0.1 * force + 0.1 * np.asarray(action[4 * slots :])
        self.x = self.x + 0.3 * self.v
        self.clock += 1
        reward = -float(np.linalg.norm(self.goal - self.x, axis=1).mean())
        return self._observe(), reward, False, self.clock >= self.length, {"members": n}

    def _observe(self) -> Array:
        edges = adjacency([-1] + [0] * (self.n - 1), self.slots)
        per_member = (np.ones((self.n, 1)), None, self.x, self.v, self.x[:, :2] - self.v[:, :2], self.charge)
        parts = [self.goal, self.v.mean(0), self.x.mean(0)[2:]]
        for values in per_member:
            if values is None:
                parts.append(edges.ravel())
                continue
            padded = np.zeros((self.slots, values.shape[1]))
            padded[: self.n] = values
            parts.append(padded.ravel())
        x = np.concatenate(parts).astype(np.float32)
        return with_garbage(self.representation, x, self.filler, self.garbage) if self.filler else x


def with_garbage(rep: Representation, x: Any, size: float, rng: np.random.Generator, masks: Any = None) -> Any:
    """The same vectors with different contents of padded slots; NaN for an infinite size.

    Args:
        rep: representation of the vectors.
        x: vectors, NumPy or torch.
        size: of what stands there.
        rng: random numbers.
        masks: which slots of the swarm are real, ``(..., slots)``; None to read it from the vectors.
    """
    rows = x.detach().numpy().copy() if isinstance(x, torch.Tensor) else np.array(x)
    real = rows[..., rep.slices["real"]] if masks is None else np.asarray(masks)
    padding = real < 0.5
    with_mask = {f.entities for f in rep.fields if f.name == "real"}
    masked = with_mask or {e.name for e in rep.entities}  # an action has no masks of its own
    for field in rep.fields:
        if field.entities not in masked or field.name == "real":
            continue
        block = rows[..., rep.slices[field.name]].reshape(*rows.shape[:-1], -1, field.width)
        garbage = np.full(block.shape, np.nan) if np.isinf(size) else size * rng.standard_normal(block.shape)
        hidden = np.broadcast_to(padding[..., None], block.shape)
        if field.role == "parent":
            hidden = hidden | padding[..., None, :]
        rows[..., rep.slices[field.name]] = np.where(hidden, garbage, block).reshape(*rows.shape[:-1], -1)
    return torch.as_tensor(rows, dtype=x.dtype) if isinstance(x, torch.Tensor) else rows


def resized(old: Representation, new: Representation, x: Any) -> Any:
    """The same swarms in a different number of slots; added and removed slots are padding."""
    rows = torch.as_tensor(x)
    parts = []
    for before, after in zip(old.fields, new.fields, strict=True):
        block = rows[..., old.slices[before.name]]
        if before.entities is not None:
            slots = new.count(after)
            block = block.reshape(*block.shape[:-1], old.count(before), before.width)
            fill = block.new_zeros(*block.shape[:-2], max(old.count(before), slots), max(before.width, after.width))
            fill[..., : block.shape[-2], : block.shape[-1]] = block
            block = fill[..., :slots, : after.width].flatten(-2)
        parts.append(block)
    return torch.cat(parts, dim=-1)
