"""Robots with one slip: an attribute of one part that is wrong on one side.

    python scripts/planted_models.py --models 0 --slips 500 --out results/check

plants the slips, counts how often ``derive`` names the part and the attribute, and checks that it never takes the
slipped part for the image of another one.
"""

from __future__ import annotations

import time
from typing import Any

import mujoco
import numpy as np
from slip_kinds import SLIPS, Slip
from slip_robots import Robot, robot

from eqrl import derive


def slipped(seed: int) -> tuple[Robot, str, Slip]:
    """A robot with one slip, and the link that has it; the kinds of slips alternate."""
    plant, k = SLIPS[seed % len(SLIPS)], 0
    while True:
        made = robot(seed + 100003 * k)
        rng = np.random.default_rng(seed + k)
        k += 1
        at = str(rng.choice(made.links))
        slip = plant(made.spec, at, rng)
        if slip is None:
            continue
        try:
            unlike = _differs(made.spec, seed + 100003 * (k - 1))
        except ValueError:  # other parts depend on the removed one
            continue
        if unlike:
            return made, at, slip


def _differs(spec: mujoco.MjSpec, seed: int) -> bool:
    """Whether a slip changes the compiled model: a factor times zero, or a gain that the servo ignores, does not."""
    before, after = robot(seed).spec.compile(), spec.compile()
    if (before.nbody, before.ngeom, before.nu, before.neq, before.ntendon) != (
        after.nbody,
        after.ngeom,
        after.nu,
        after.neq,
        after.ntendon,
    ):
        return True
    names = [n for n in dir(after) if isinstance(getattr(after, n), np.ndarray)]
    return any(not np.array_equal(getattr(before, n), getattr(after, n)) for n in names)


def examine(seed: int) -> dict[str, Any]:
    """Plant one slip, derive, and record what was named and what was accepted."""
    made, at, slip = slipped(seed)
    model = made.spec.compile()
    start = time.perf_counter()
    derivation = derive(model)
    seconds = time.perf_counter() - start
    lines = [*map(str, derivation.near_misses), *derivation.notes]
    levels = {
        level: any(_moves(model, g, at) for g in derivation.generators(level)) for level in ("kinematic", "dynamic")
    }
    return {
        "seed": seed, "group": made.group, "joints": made.joints, "slip": slip.kind, "part": slip.part,
        "named": _named(lines, slip),
        "accepted": levels["dynamic"] or (slip.kinematic and levels["kinematic"]), "seconds": seconds,
    }  # fmt: skip


def _named(lines: list[str], slip: Slip) -> bool:
    """Whether one message names the part (or a counterpart of a missing part) and the attribute."""
    clauses = [clause for line in lines for clause in line.split(";")]
    parts = {slip.part.replace("_pair", "_geom")}
    if slip.kind.endswith("missing"):  # a missing part cannot be named, only its counterparts
        limb, _, rest = slip.part.split("_", 2)
        parts |= {f"{limb}_{i}_{rest}".replace("_pair", "_geom") for i in range(4)}
    return any(any(_word(p, c) for p in parts) and any(w in c for w in slip.field) for c in clauses)


def _word(part: str, text: str) -> bool:
    return f" {part} " in f" {text} ".replace(",", " ").replace("-", " ")


def _moves(model: mujoco.MjModel, symmetry: Any, link: str) -> bool:
    """Whether a symmetry moves a link; if the slip removed the link, none can."""
    if mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, link) < 0:
        return False
    body = int(model.body(link).id)
    return bool(symmetry.bodies[body] != body)


def summary(rows: list[dict[str, Any]], seconds: float) -> dict[str, Any]:
    """Counts, and the rows of missed slips."""
    kinds = sorted({r["slip"] for r in rows})
    return {
        "slips": len(rows),
        "kinds": len(kinds),
        "named": sum(r["named"] for r in rows),
        "accepted": sum(r["accepted"] for r in rows),
        "joints": [min(r["joints"] for r in rows), max(r["joints"] for r in rows)],
        "seconds_median": float(np.median([r["seconds"] for r in rows])),
        "seconds_max": max(r["seconds"] for r in rows),
        "seconds_all": seconds,
        "named_of": {
            k: [sum(r["named"] for r in rows if r["slip"] == k), sum(r["slip"] == k for r in rows)] for k in kinds
        },
        "missed": [r for r in rows if not r["named"] or r["accepted"]],
    }
