"""A callback for any training with Stable-Baselines3 that logs what is exact and what is fitted."""

from __future__ import annotations

from collections.abc import Sequence

from stable_baselines3.common.callbacks import BaseCallback

from eqrl.diagnostics.coherence import gradients, least_coherence
from eqrl.diagnostics.diagnosis import QUANTITIES
from eqrl.diagnostics.function_error import largest_errors
from eqrl.diagnostics.parity import parity_energy, parts_of
from eqrl.diagnostics.plasticity import plasticity
from eqrl.diagnostics.saliency import least_saliency_equivariance
from eqrl.diagnostics.sample import Functions, recall
from eqrl.diagnostics.spaces import Spaces
from eqrl.discovery.candidates import Candidate, candidates_of_group
from eqrl.rng import preserved_rng
from eqrl.symmetry import Element


class SymmetryDiagnostics(BaseCallback):
    """Logs under ``diagnostics/``; the training goes on to the bit as it would have without.

    For each candidate: ``error``, ``coherence`` and ``saliency`` of actor and value. Besides these the coherence of
    random pairs, shares of the actor's output by irreps, and dead and identical units. Observations come from the
    algorithm's own buffer.

    Args:
        every: environment steps between two looks; rollouts are waited for.
        samples: number of observations.
        gradients: number of those whose gradients are compared, one backward pass each and one for each image.
        candidates: what to try; by default the declared generators, other motions of the world, and decoys.
        verbose: as for every callback.

    Raises:
        ValueError: for numbers below 1.
        UntypedSpaceError: when training starts, if a space does not say how it turns.
    """

    def __init__(
        self,
        every: int = 10_000,
        samples: int = 256,
        gradients: int = 16,
        candidates: Sequence[Candidate[Element]] | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(verbose)
        for name, value in (("every", every), ("samples", samples), ("gradients", gradients)):
            if value < 1:
                raise ValueError(f"{name}={value}: give at least 1")
        self.every, self.samples, self.gradients = every, samples, gradients
        self._candidates = candidates
        self._next = 0

    def _on_training_start(self) -> None:
        self.spaces = Spaces(self.model)
        chosen = candidates_of_group(self.spaces.group) if self._candidates is None else self._candidates
        self.candidates = list(chosen)
        self._next = self.num_timesteps

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        if self.num_timesteps < self._next:
            return
        with preserved_rng():
            if self.look():
                self._next = self.num_timesteps + self.every

    def look(self) -> bool:
        """Measure and log; False as long as the buffer holds too little."""
        sample = recall(self.model, self.samples)
        if sample is None:
            return False
        functions = Functions(self.model)
        some = sample[slice(self.gradients)]
        here = {what: gradients(functions, some, what) for what in QUANTITIES}
        for candidate in self.candidates:
            errors = largest_errors(functions, sample, self.spaces, candidate.element)
            for what in QUANTITIES:
                key = f"diagnostics/{what} {candidate.name}"
                g = candidate.element
                of_gradients = least_coherence(functions, some, self.spaces, g, what, here=here[what])
                self._record_each(f"{key}/error", errors[what])
                self._record_each(f"{key}/coherence", of_gradients.orbit)
                saliency = least_saliency_equivariance(functions, sample, self.spaces, g, what)
                self._record_each(f"{key}/saliency", saliency)
                self._record_each(f"diagnostics/{what}/coherence of random pairs", of_gradients.random)
        if self.spaces.group.finite:
            gait = functions.gait(sample.observations)
            for name, share in parity_energy(gait, parts_of(self.spaces.action, self.spaces.group)).items():
                self._record_each(f"diagnostics/parity/{name}", share)
        units = plasticity(functions, sample)
        self.logger.record("diagnostics/plasticity/dead", units.dead / max(units.units, 1))
        self.logger.record("diagnostics/plasticity/identical", units.identical / max(units.units, 1))
        return True

    def _record_each(self, key: str, value: float) -> None:
        """Log one of several things of a kind, whose names are too long for the table on the screen."""
        self.logger.record(key, value, exclude="stdout")
