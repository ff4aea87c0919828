"""Prove the symmetry that an environment's typed spaces declare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from eqrl.proof.causes.environments import diagnose_world
from eqrl.proof.comparison import Violation
from eqrl.proof.declared.declared_world import DeclaredWorld
from eqrl.proof.resets import SAMPLES, reset_difference
from eqrl.proof.verdict import Cause, Objection, Verdict, Verdicts, judge
from eqrl.proof.worlds import WorldTrial, flatten, random_episode
from eqrl.symmetry.element import Element
from eqrl.symmetry.group import Group
from eqrl.symmetry.representation import Representation
from eqrl.symmetry.spaces import representation_of


def prove_world(
    world: Any,
    group: Group | None = None,
    *,
    states: int = 4,
    steps: Sequence[int] = (1, 10, 50),
    seed: int = 0,
    tolerance: float = 1e-8,
    diagnosing: bool = True,
) -> Verdicts:
    """Compare state, observation, reward and termination of an environment with those of its transformed self.

    Args:
        world: an environment with typed spaces and the methods of ``SymmetricWorld``.
        group: by default the one that the spaces declare.
        states: number of episodes.
        steps: control steps after which errors are reported.
        seed: of resets and actions.
        tolerance: on the state.
        diagnosing: whether to look for causes.
    """
    rng = np.random.default_rng(seed)
    world.action_space.seed(seed)
    episodes = [random_episode(world, seed + i, int(rng.integers(0, 20)), max(steps)) for i in range(states)]
    trial = WorldTrial(world, episodes, tolerance)
    trial.check_deterministic()
    rep = representation_of(world.observation_space)
    resets = np.stack([flatten(world.reset(seed=seed + i)[0]) for i in range(SAMPLES)]).astype(np.float64)
    verdicts = []
    for name, g in (group or rep.group).generators:
        if isinstance(world, DeclaredWorld) and (objection := world.examine(name, g)) is not None:
            verdicts.append(_objected(name, g, steps, objection))
            continue

        def explain(violation: Violation, g: Element = g) -> Cause:
            cause = diagnose_world(world, episodes[violation.state], g, violation, tolerance)
            return cause or Cause("unknown", f"{violation.field} differs first")

        verdicts.append(
            judge(
                trial.compare(g),
                name,
                _kind(g),
                steps=steps,
                contacts=trial.contacts,
                explain=explain if diagnosing else None,
                remarks=_reset_remark(rep, resets, g),
            )
        )
    return Verdicts(tuple(verdicts))


def _kind(g: Element) -> str:
    return "morphology" if g.h else "world"


def _objected(name: str, g: Element, steps: Sequence[int], objection: Objection) -> Verdict:
    return Verdict(
        name=name,
        kind=_kind(g),
        errors=dict.fromkeys(map(int, steps), objection.size),
        holds=False,
        contacts=0,
        field=objection.field,
        step=0,
        cause=objection.cause,
    )


def _reset_remark(rep: Representation, resets: np.ndarray, g: Element) -> tuple[str, ...]:
    difference = reset_difference(resets, lambda x: rep.transform(x, g))
    if difference is None:
        return ()
    field = next(name for name, where in rep.slices.items() if where.start <= difference[0] < where.stop)
    return (f"reset not invariant: {field} of the first observation is distributed otherwise in the transformed world",)
