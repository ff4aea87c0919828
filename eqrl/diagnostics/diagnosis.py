"""Everything that can be told about a model in one object: what is exact, what is fitted, what is broken."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm

from eqrl.diagnostics.coherence import Coherence, gradients, least_coherence
from eqrl.diagnostics.function_error import largest_errors
from eqrl.diagnostics.noether import Noether
from eqrl.diagnostics.parity import parity_energy, parts_of
from eqrl.diagnostics.plasticity import Plasticity, plasticity
from eqrl.diagnostics.saliency import least_saliency_equivariance
from eqrl.diagnostics.sample import Functions, Sample
from eqrl.diagnostics.spaces import Spaces
from eqrl.discovery import EffectiveGroup
from eqrl.discovery.candidates import Candidate, candidates_of_group
from eqrl.symmetry import Element

QUANTITIES = ("actor", "value")
_EXACT_ERROR, _EXACT_COHERENCE = 1e-4, 1e-4
_FITTED = 0.1
_GRADIENTS = 32


@dataclass(frozen=True)
class OfCandidate:
    """What a policy does with one candidate symmetry.

    Attributes:
        name: of the candidate.
        kind: see :class:`eqrl.discovery.Candidate`.
        errors: of actor and value, 0 to 1; for a rotation of any angle the largest of several angles.
        coherence: of the gradients of actor and value; the least of the same angles.
        saliency: equivariance of the explanations of actor and value; the least of the same angles.
        world: residual of the world, None if it was not measured.
        world_holds: whether the world has this symmetry, up to what is accepted; None if that is not known.
    """

    name: str
    kind: str
    errors: Mapping[str, float]
    coherence: Mapping[str, Coherence]
    saliency: Mapping[str, float]
    world: float | None = None
    world_holds: bool | None = None

    def verdict(self, what: str) -> str:
        """``"exact"``, ``"fitted"`` or ``"free"``: whether actor or value cannot break it, hardly does, or does."""
        gradients = self.coherence[what].orbit
        if self.errors[what] <= _EXACT_ERROR and abs(1.0 - gradients) <= _EXACT_COHERENCE:
            return "exact"
        return "fitted" if self.errors[what] <= _FITTED else "free"


@dataclass(frozen=True)
class Diagnosis:
    """Results of all diagnostics.

    Attributes:
        candidates: one for each candidate symmetry.
        parity: shares of the energy of the actor's output, without exploration noise, by irreps of the body's group;
            empty for a group without a finite part.
        plasticity: units of the networks.
        noether: self-test of the model, None if there is no free body or no model.
        samples: number of observations.
    """

    candidates: tuple[OfCandidate, ...]
    parity: Mapping[str, float]
    plasticity: Plasticity
    noether: Noether | None
    samples: int

    def to_json(self) -> dict[str, Any]:
        """The numbers as ``eqrl diagnose --json`` writes them."""
        rows = []
        for c in self.candidates:
            row: dict[str, Any] = {"name": c.name, "kind": c.kind}
            for what in QUANTITIES:
                row[what] = {
                    "verdict": c.verdict(what),
                    "error": c.errors[what],
                    "coherence": asdict(c.coherence[what]),
                    "saliency": c.saliency[what],
                }
            finite = c.world is not None and math.isfinite(c.world)
            rows.append({**row, "world": {"residual": c.world if finite else None, "holds": c.world_holds}})
        return {
            "samples": self.samples,
            "candidates": rows,
            "parity": dict(self.parity),
            "plasticity": asdict(self.plasticity),
            "noether": None if self.noether is None else {**asdict(self.noether), "holds": self.noether.holds},
        }


def diagnose_model(
    model: BaseAlgorithm,
    sample: Sample,
    *,
    world: EffectiveGroup | None = None,
    noether: Noether | None = None,
    candidates: Sequence[Candidate[Element]] | None = None,
) -> Diagnosis:
    """Run all diagnostics of a model.

    Args:
        model: PPO, SAC, TD3 or an algorithm with the same policies, with typed spaces.
        sample: what it has experienced, from :func:`~eqrl.diagnostics.sample.play` or ``recall``.
        world: what :func:`eqrl.discovery.discover` says about the same candidates.
        noether: self-test of the model of its world.
        candidates: what to try; by default the declared generators, other motions of the world, and decoys.

    Raises:
        UntypedSpaceError: if a space does not say how it turns.
    """
    spaces, functions = Spaces(model), Functions(model)
    tried = candidates_of_group(spaces.group) if candidates is None else candidates
    residuals = {} if world is None else {t.name: t.measured for t in world.tried}
    some = sample[slice(_GRADIENTS)]
    here = {what: gradients(functions, some, what) for what in QUANTITIES}
    results = []
    for candidate in tried:
        g = candidate.element
        of_world = residuals.get(candidate.name)
        results.append(
            OfCandidate(
                candidate.name,
                candidate.kind,
                largest_errors(functions, sample, spaces, g),
                {what: least_coherence(functions, some, spaces, g, what, here=here[what]) for what in QUANTITIES},
                {what: least_saliency_equivariance(functions, sample, spaces, g, what) for what in QUANTITIES},
                None if of_world is None else of_world.residual,
                None if of_world is None else of_world.holds,
            )
        )
    return Diagnosis(
        tuple(results), _parity(functions, spaces, sample), plasticity(functions, sample), noether, len(sample)
    )


def _parity(functions: Functions, spaces: Spaces, sample: Sample) -> dict[str, float]:
    if not spaces.group.finite:
        return {}
    return parity_energy(functions.gait(sample.observations), parts_of(spaces.action, spaces.group))
