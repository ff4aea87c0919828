"""Propose the type of every entry of an observation from how the observations of transformed states differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from eqrl.arrays import Floats
from eqrl.declare.actions import action_matrix
from eqrl.declare.declared import discrete_note
from eqrl.declare.entry_names import entry_names
from eqrl.declare.errors import DeclarationError
from eqrl.declare.layout import CannotTypeError
from eqrl.declare.one_step import on_actions, try_motion
from eqrl.declare.proposal import Proposal, Unexplained
from eqrl.declare.stretches import fields_from_matrices
from eqrl.declare.task import candidates
from eqrl.declare.types import Sets, Types, build, plain
from eqrl.derivation import Symmetry, world_rotation
from eqrl.derivation.discrepancy import Level
from eqrl.derivation.elements import closure, identity, key
from eqrl.derivation.remembered import derivation_of
from eqrl.proof.declared.motion import Motion, motion_of
from eqrl.proof.declared.twins import MujocoTwin, twin_of
from eqrl.proof.matching import EntryMatch, match, turning_vectors
from eqrl.proof.worlds import observe_at
from eqrl.symmetry import Field
from eqrl.symmetry.group import Connected

_FEW = 5
_ATTEMPTS = 6  # each with up to twice the states
_MOST_NEW = 512
_NEARLY_SAME = 0.02  # tolerance for symmetries that the physics keeps nearly
_ANGLES = (np.deg2rad(37.0), np.deg2rad(101.0))


def infer_types(
    env: gymnasium.Env[Any, Any],
    symmetries: Sequence[Symmetry] | None = None,
    *,
    level: Level = "dynamic",
    samples: int = 256,
    seed: int = 0,
    task: bool = True,
) -> Proposal:
    """Propose how observations and actions turn, by trying the symmetries of the model.

    Observations of random states are compared with those of the transformed states. Of each symmetry a signed
    permutation of entries is sought that explains the difference, then an orthogonal map of what is left; rotations
    about gravity are sought in neighbouring threes and twos. Entries that stay unexplained are named, and the
    symmetry that they break is left out.

    Args:
        env: an environment with a MuJoCo model below, ``model`` and ``data``, and a method ``_get_obs``. It is not
            stepped.
        symmetries: elements to try; by default those that ``derive`` finds.
        level: of the derivation: ``"dynamic"``, or ``"kinematic"`` for symmetries that masses may break, and near
            misses; those are not held against the physics.
        samples: number of states.
        seed: of the states.
        task: whether a symmetry must keep the reward and the end of the episode too.

    Raises:
        DeclarationError: without a model, or if a rollout is not finite.
    """
    twin = twin_of(env)
    if not isinstance(twin, MujocoTwin):
        raise DeclarationError(
            f"{type(env.unwrapped).__name__} has no MuJoCo model whose symmetries could be tried; "
            "declare its fields: with_symmetry(env, observation=[Field(...), ...], action=[...], group=...)"
        )
    return _Inference(twin, level, samples, seed, task).propose(symmetries)


@dataclass
class _Explained:
    symmetry: Symmetry
    observation: Floats
    action: Floats


class _Inference:
    def __init__(self, twin: MujocoTwin, level: Level, samples: int, seed: int, task: bool) -> None:
        self.twin, self.level, self.seed, self.task = twin, level, seed, task
        self.tolerance = 1e-7 if level == "dynamic" else _NEARLY_SAME
        self.rng = np.random.default_rng(seed)
        self.states = twin.spread(self.rng, samples)
        self.before = np.stack([observe_at(twin, s) for s in self.states])
        self.names = entry_names(twin, self.states, self.before)
        self.unexplained: list[Unexplained] = []
        self.refused: list[tuple[str, str]] = []
        self.guessed: set[int] = set()

    def propose(self, given: Sequence[Symmetry] | None) -> Proposal:
        base, notes = self.twin.env, []
        derivation = None if given is not None else derivation_of(self.twin.model)
        connected: Connected = "1"
        vectors: list[tuple[int, int]] = []
        if derivation is not None and derivation.world.connected != "1":
            blocks = self._rotation()
            if blocks is not None:
                connected, vectors = "SO2", blocks
        if given is not None:
            tried: Sequence[Symmetry] = given
        elif connected == "SO2" and derivation is not None:
            tried = derivation.generators(self.level)
        else:
            tried = candidates(derivation, self.level) if derivation is not None else ()
        if derivation is not None and self.level == "kinematic":
            tried = [*tried, *(m.symmetry for m in derivation.near_misses)]
        explained = self._finite(tried)
        if not explained and connected == "1":
            notes.append("no symmetry of the model is kept by observation, action and reward")
        discrete = isinstance(base.action_space, gymnasium.spaces.Discrete)
        if discrete:
            notes.append(discrete_note(base))
        try:
            types = self._types(explained, connected, vectors, discrete, notes)
        except CannotTypeError as error:
            self.refused.append(("rotation about gravity", str(error)))
            types = self._types(explained, "1", [], discrete, notes)
        return Proposal(types, self.names, tuple(self.unexplained), tuple(sorted(self.guessed)), tuple(self.refused))

    # -------------------------------------------------------------- finite elements
    def _finite(self, tried: Sequence[Symmetry]) -> list[_Explained]:
        explained: list[_Explained] = []
        group: tuple[Symmetry, ...] = ()
        seen: set[object] = set()
        for symmetry in tried:
            if key(symmetry) in seen or any(key(symmetry) == key(known) for known in group):
                continue
            seen.add(key(symmetry))
            motion = motion_of(symmetry)
            action = action_matrix(self.twin, motion, self.states, seed=self.seed + 2, guess=self.level == "kinematic")
            if action is None:
                self.refused.append(
                    (symmetry.name, "no signed permutation of the actions does what it does to the robot")
                )
                continue
            if reason := self._trial(motion, None, action, samples=_FEW):  # before the observation, which takes longer
                self.refused.append((symmetry.name, reason))
                continue
            explanation, reason = self._explain(motion, action, explained)
            if explanation.unexplained:
                self._report(symmetry.name, explanation)
                continue
            if reason:
                self.refused.append((symmetry.name, reason))
                continue
            self.guessed.update(explanation.guessed)
            explained.append(_Explained(symmetry, explanation.matrix, action))
            group = closure([e.symmetry for e in explained], identity(symmetry.model))
        return explained

    def _explain(self, motion: Motion, action: Floats, known: list[_Explained]) -> tuple[EntryMatch, str]:
        """A match, and why the task does not keep it.

        A match that fails on other states was a coincidence; the search goes on with more of them.
        """
        assert motion.symmetry is not None
        for _ in range(_ATTEMPTS):
            explanation = match(self.before, self._after(motion), self.tolerance)
            if explanation.unexplained:
                return explanation, ""
            reason = self._trial(motion, explanation.matrix, action)
            if not reason and not _closes([*known, _Explained(motion.symmetry, explanation.matrix, action)]):
                reason = "the observation mixes entries in a way that does not fit the other symmetries"
            if reason and "observation" not in reason:
                break
            if self._look_further(motion, explanation.matrix) and not reason:
                break
        return explanation, reason

    def _look_further(self, motion: Motion, matrix: Floats) -> bool:
        """Whether a match holds on as many new states; if not, these are used from now on too."""
        more = self.twin.spread(self.rng, min(len(self.states), _MOST_NEW))
        seen = np.stack([observe_at(self.twin, s) for s in more])
        moved = np.stack([observe_at(self.twin, motion.state(s)) for s in more])
        if holds := bool(
            (np.abs(seen @ matrix.T - moved) <= 10 * self.tolerance * np.maximum(1.0, np.abs(moved))).all()
        ):
            return holds
        self.states += more
        self.before = np.concatenate([self.before, seen])
        return holds

    def _after(self, motion: Motion) -> Floats:
        return np.stack([observe_at(self.twin, motion.state(s)) for s in self.states])

    def _report(self, generator: str, explanation: EntryMatch) -> None:
        for i in explanation.unexplained:
            shift = explanation.offset.get(i)
            reason = "no entry of the observation equals it" if shift is None else f"{shift:.3g} would have to be added"
            self.unexplained.append(Unexplained(i, self.names[i], generator, reason))
        self.refused.append((generator, f"{len(explanation.unexplained)} entries of the observation do not follow it"))

    def _trial(self, motion: Motion, observation: Floats | None, action: Floats, samples: int = 24) -> str:
        act = on_actions(self.twin, action)
        dynamics = self.level == "dynamic"
        trial = try_motion(
            self.twin, motion, observation, samples=samples, seed=self.seed + 1, action=act, wide=dynamics
        )
        reason = trial.broken(dynamics)
        return "" if not self.task and "observation" not in reason and "physics" not in reason else reason

    # -------------------------------------------------------------- rotations about gravity
    def _rotation(self) -> list[tuple[int, int]] | None:
        model, blocks = self.twin.model, None
        if self.twin.env.action_space.shape != (model.nu,):
            self.refused.append(("rotation about gravity", "actions are not the controls, whose turn is known"))
            return None
        for angle in _ANGLES:
            symmetry = world_rotation(model, float(angle))
            motion = motion_of(symmetry)
            turning, _, left = turning_vectors(self.before, self._after(motion), symmetry.R)
            if left:
                for i in left:
                    self.unexplained.append(
                        Unexplained(
                            i, self.names[i], "rotation about gravity", "it is neither invariant nor part of a vector"
                        )
                    )
                self.refused.append(
                    ("rotation about gravity", f"{len(left)} entries of the observation do not follow it")
                )
                return None
            matrix = np.eye(self.before.shape[1])
            for start, width in turning:
                matrix[start : start + width, start : start + width] = symmetry.R[:width, :width]
            if reason := self._trial(motion, matrix, motion.control):
                self.refused.append(("rotation about gravity", reason))
                return None
            blocks = turning
        return blocks

    # -------------------------------------------------------------- fields
    def _types(
        self,
        explained: list[_Explained],
        connected: Connected,
        vectors: list[tuple[int, int]],
        discrete: bool,
        notes: list[str],
    ) -> Types:
        size = self.before.shape[1]
        actions = 0 if discrete else int(np.prod(self.twin.env.action_space.shape or (0,)))
        if not explained and connected == "1":
            return plain(size, None if discrete else actions, notes)
        sets = Sets()
        names = [e.symmetry.name for e in explained]
        worlds = [e.symmetry.R for e in explained]
        fields = fields_from_matrices([e.observation for e in explained], worlds, vectors, size, sets, self.names)
        action: list[Field] | None = None
        if not discrete:
            over = sets.add("actions", [e.action for e in explained]) if explained else None
            action = [Field("action", "1x0e" if over else f"{actions}x0e", entities=over)]
        return build(fields, action, sets, names, worlds, connected=connected, notes=notes)


# ------------------------------------------------------------------ small things
def _closes(explained: Sequence[_Explained]) -> bool:
    """Whether matrices multiply as the symmetries do, up to a common sign of quaternions."""
    one = identity(explained[0].symmetry.model)
    order = len(closure([e.symmetry for e in explained], one))
    start = np.eye(len(explained[0].observation))
    reached, frontier = [start], [start]
    while frontier:
        fresh = []
        for matrix in frontier:
            for e in explained:
                candidate = e.observation @ matrix
                if not any(np.abs(candidate - f).max() < 1e-6 for f in reached):
                    reached.append(candidate)
                    fresh.append(candidate)
                    if len(reached) > 2 * order:
                        return False
        frontier = fresh
    return True
