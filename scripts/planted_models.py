"""Plant symmetries in random robots and see whether ``derive`` finds all of them and no more.

    python scripts/planted_models.py --models 200 --out results/check

Every robot is a random tree, copied by a random finite group: torso, limbs of one to four joints, sometimes a tail on
the mirror plane. Body frames, signs of axes and gears, and the order of limbs are random, so that only geometry shows
which parts correspond. Every second robot is then damaged in one attribute; the planted symmetry must become a near
miss that names it. With ``--prove``, ``verify`` also tries the derived generators of the undamaged robots on the
physics.
``--slips 500`` adds robots of 4 to 30 joints with one wrong attribute of any kind (``planted_slips.py``).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray
from rotations import quat, uniform_rotation, unit

from eqrl import derive, verify

Floats = NDArray[np.float64]


def _turn(n: int) -> Floats:
    a = 2 * np.pi / n
    return np.array([[np.cos(a), -np.sin(a), 0.0], [np.sin(a), np.cos(a), 0.0], [0.0, 0.0, 1.0]])


_SAGITTAL, _FRONTAL = np.diag([1.0, -1.0, 1.0]), np.diag([-1.0, 1.0, 1.0])
PLANTED: Mapping[str, tuple[Floats, ...]] = {
    "1": (),
    "mirror": (_SAGITTAL,),
    "half turn": (_turn(2),),
    "two mirrors": (_SAGITTAL, _FRONTAL),
    "C3": (_turn(3),),
    "C4": (_turn(4),),
    "C5": (_turn(5),),
    "D3": (_turn(3), _SAGITTAL),
    "D4": (_turn(4), _SAGITTAL),
    "D6": (_turn(6), _SAGITTAL),
    "half turn about x": (np.diag([1.0, -1.0, -1.0]),),
    "inversion": (-np.eye(3),),
    "tetrahedral": (_turn(2), np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])),
}
# limbs in random places overlap, so they meet the floor but not each other
_LIMB = {"contype": 1, "conaffinity": 2}
_HINGE = mujoco.mjtJoint.mjJNT_HINGE
# least share of slips that have to be named
_NAMED = 0.99
DAMAGES = ("mass", "armature", "damping", "friction", "range", "gear", "pos")


def closed(generators: Sequence[Floats]) -> list[Floats]:
    """All products of orthogonal matrices."""
    elements = [np.eye(3)]
    for known in elements:
        for g in generators:
            if not any(np.allclose(g @ known, f) for f in elements):
                elements.append(g @ known)
    return elements


@dataclass
class Planted:
    """A robot with a known symmetry.

    Attributes:
        spec: the model.
        group: name of what was planted.
        order: number of elements.
        damage: the attribute in which one part was changed, or nothing.
        damaged: that part.
    """

    spec: mujoco.MjSpec
    group: str
    order: int
    damage: str = ""
    damaged: str = ""
    names: list[str] = field(default_factory=list)


def plant(seed: int, group: str | None = None, damage: str = "", fixed: bool = False) -> Planted:
    """Make a random robot.

    Args:
        seed: of everything random.
        group: a key of ``PLANTED``; random by default.
        damage: one of ``DAMAGES``, or none.
        fixed: bolt the torso to the world, which leaves those elements that keep gravity.
    """
    rng = np.random.default_rng(seed)
    name = group or str(rng.choice(list(PLANTED)))
    elements = closed(PLANTED[name])
    spec = mujoco.MjSpec()
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.timestep = 0.002
    spec.option.tolerance = 1e-12
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1], name="floor", contype=2, conaffinity=1)
    frame = uniform_rotation(rng)
    torso = spec.worldbody.add_body(name="torso", pos=[0, 0, 1.5], quat=quat(frame))
    if not fixed:
        torso.add_freejoint(name="root")
    torso.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[0.12, 0, 0], density=900.0, **_LIMB)
    upright = [e for e in elements if abs(e[2, 2] - 1.0) < 1e-9]
    out = Planted(spec, name, len(upright) if fixed else len(elements))
    jobs = []
    for k in range(int(rng.integers(1, 4))):
        chain = _chain(rng, k)
        jobs += [(chain, g, f"limb{k}_{i}") for i, g in enumerate(elements)]
    if _SAGITTAL.tolist() in [e.tolist() for e in elements] and len(elements) == 2:
        jobs.append((_tail(rng), np.eye(3), "tail"))
    for i in rng.permutation(len(jobs)):
        _add(spec, torso, frame, *jobs[i], rng, out)
    if damage:
        _damage(out, damage, rng)
    return out


@dataclass(frozen=True)
class _Link:
    start: Floats
    end: Floats
    radius: float
    axis: Floats
    slides: bool
    low: float
    high: float
    mass: float
    armature: float
    damping: float
    stiffness: float
    friction: float
    gear: float


def _chain(rng: np.random.Generator, k: int) -> list[_Link]:
    """A limb in general position: no symmetry of the torso fixes it."""
    start = 0.15 * unit(rng)
    return _links(rng, start, [start * (1.6 + 0.3 * k) + 0.12 * unit(rng) for _ in range(int(rng.integers(1, 5)))])


def _tail(rng: np.random.Generator) -> list[_Link]:
    """A limb on the sagittal plane, which the mirror fixes; its axes are normal to the plane."""
    links = _links(rng, np.array([-0.15, 0.0, 0.02]), [np.array([-0.3, 0.0, 0.05]), np.array([-0.45, 0.0, 0.12])])
    normal = np.array([0.0, 1.0, 0.0])
    return [_Link(**{**vars(link), "axis": normal, "slides": False}) for link in links]


def _links(rng: np.random.Generator, start: Floats, ends: list[Floats]) -> list[_Link]:
    links = []
    for i, end in enumerate(ends):
        end = end if not i else start + 0.18 * unit(rng) if abs(end[1]) > 1e-12 else end
        low = -float(rng.uniform(0.3, 1.2))
        links.append(
            _Link(
                start, end, float(rng.uniform(0.02, 0.05)), unit(rng), bool(rng.random() < 0.15), low,
                float(rng.uniform(0.3, 1.2)),
                float(rng.uniform(0.1, 1.0)), float(rng.uniform(0.005, 0.05)), float(rng.uniform(0.05, 0.5)),
                float(rng.choice([0.0, rng.uniform(0.1, 2.0)])), float(rng.uniform(0.4, 1.2)), float(rng.uniform(1.0,
                5.0)),
            )
        )  # fmt: skip
        start = end
    return links


def _add(
    spec: mujoco.MjSpec,
    torso: Any,
    torso_frame: Floats,
    chain: list[_Link],
    g: Floats,
    name: str,
    rng: np.random.Generator,
    out: Planted,
) -> None:
    """A copy of a limb, moved by ``g``, with random body frames."""
    det = np.linalg.det(g)
    parent, frame, origin = torso, torso_frame, np.zeros(3)
    for i, link in enumerate(chain):
        start, end = g @ link.start, g @ link.end
        orientation = uniform_rotation(rng)
        where = start + 0.03 * unit(rng)  # a body's origin may be anywhere
        body = parent.add_body(name=f"{name}_{i}", pos=frame.T @ (where - origin), quat=quat(frame.T @ orientation))
        frame, origin = orientation, where
        flip = float(rng.choice([-1.0, 1.0]))
        axis = flip * g @ link.axis * (1.0 if link.slides else det)
        low, high = (link.low, link.high) if flip > 0 else (-link.high, -link.low)
        if link.slides:
            low, high = 0.1 * low, 0.1 * high
        body.add_joint(
            name=f"{name}_{i}_joint", type=mujoco.mjtJoint.mjJNT_SLIDE if link.slides else mujoco.mjtJoint.mjJNT_HINGE,
            axis=frame.T @ axis, pos=frame.T @ (start - origin), range=np.rad2deg([low,
            high]) if not link.slides else [low, high],
            limited=True, armature=link.armature, damping=link.damping, stiffness=link.stiffness,
        )  # fmt: skip
        body.add_geom(
            name=f"{name}_{i}_geom", type=mujoco.mjtGeom.mjGEOM_CAPSULE, size=[link.radius, 0, 0],
            fromto=np.concatenate([frame.T @ (start - origin), frame.T @ (end - origin)]), mass=link.mass,
            friction=[link.friction, 0.005, 0.0001], **_LIMB,
        )  # fmt: skip
        sign = float(rng.choice([-1.0, 1.0]))
        motor = spec.add_actuator(
            name=f"{name}_{i}_motor", target=f"{name}_{i}_joint", trntype=mujoco.mjtTrn.mjTRN_JOINT
        )
        motor.gear = [sign * link.gear, 0, 0, 0, 0, 0]
        motor.ctrlrange, motor.ctrllimited = [-1.0, 1.0], True
        out.names.append(f"{name}_{i}")
        parent = body


def _damage(planted: Planted, damage: str, rng: np.random.Generator) -> None:
    spec = planted.spec
    # where a slide's anchor lies does not matter
    fit = [
        n
        for n in planted.names
        if n.startswith("limb") and (damage != "pos" or spec.joint(f"{n}_joint").type == _HINGE)
    ]
    if not fit:
        return
    name = str(rng.choice(fit))
    joint, geom = spec.joint(f"{name}_joint"), spec.geom(f"{name}_geom")
    if damage == "mass":
        geom.mass *= 1.1
    elif damage == "armature":
        joint.armature *= 1.2
    elif damage == "damping":
        joint.damping = joint.damping * 1.2
    elif damage == "friction":
        geom.friction[0] *= 1.2
    elif damage == "range":
        joint.range[1] += 0.05 * (joint.range[1] - joint.range[0])
    elif damage == "gear":
        spec.actuator(f"{name}_motor").gear[0] *= 1.2
    elif damage == "pos":
        joint.pos = np.asarray(joint.pos) + 0.004 * unit(rng)
    planted.damage, planted.damaged = damage, name


def examine(planted: Planted, prove: bool = False) -> dict[str, Any]:
    """Derive and judge."""
    model = planted.spec.compile()
    start = time.perf_counter()
    derivation = derive(model)
    seconds = time.perf_counter() - start
    expected = planted.order
    gone = bool(planted.damage) and planted.order > 1
    broken_geometry = planted.damage in ("range", "pos")
    kinematic, dynamic = derivation.order("kinematic"), derivation.order("dynamic")
    fields = {d.field for miss in derivation.near_misses for d in miss.discrepancies}
    named = {part.rsplit("_", 1)[0] for miss in derivation.near_misses for d in miss.discrepancies for part in d.of}
    named |= {part for miss in derivation.near_misses for d in miss.discrepancies for part in d.of}
    right = (
        kinematic == (expected if not (gone and broken_geometry) else kinematic)
        and (dynamic == expected if not gone else dynamic < expected)
        and kinematic <= expected
    )
    holds: bool | None = None
    if prove and not planted.damage:
        holds = verify(model, derivation, diagnosing=False).holds
    reported = not gone or (planted.damage in fields and planted.damaged in named)
    return {
        "group": planted.group, "order": expected, "damage": planted.damage, "damaged": planted.damaged,
        "joints": int(model.njnt), "fixed": model.nq == model.nv,
        "kinematic": kinematic, "dynamic": dynamic, "derived": derivation.group("kinematic").name, "right": bool(right),
        "near_miss_named": bool(reported), "holds": holds, "seconds": seconds,
    }  # fmt: skip


def main() -> int:
    """Plant, derive, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("results/check"))
    parser.add_argument("--prove", action="store_true", help="also step the physics, which takes seconds a model")
    parser.add_argument("--slips", type=int, default=0, help="number of robots with one attribute wrong on one side")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "planted_models.json"
    known: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    missed = 0
    if args.models:
        rows = [_row(args.seed + i, i, args.prove) for i in range(args.models)]
        known |= {"summary": _summary(rows), "models": rows}
        missed += sum(not r["right"] for r in rows)
        print(json.dumps(known["summary"], indent=2))
    if args.slips:
        from planted_slips import examine as examine_slip
        from planted_slips import summary

        start = time.perf_counter()
        slips = [examine_slip(args.seed + i) for i in range(args.slips)]
        told = summary(slips, time.perf_counter() - start)
        known = {"slips": told, **{k: v for k, v in known.items() if k != "slips"}}
        missed += told["accepted"] + (told["named"] < _NAMED * told["slips"])
        print(json.dumps(told, indent=2))
    path.write_text(json.dumps(known, indent=1) + "\n")
    return 0 if not missed else 1


def _row(seed: int, i: int, prove: bool) -> dict[str, Any]:
    damage = DAMAGES[(i // 2) % len(DAMAGES)] if i % 2 else ""
    row = {"seed": seed, **examine(plant(seed, damage=damage, fixed=i % 5 == 4), prove)}
    if not (row["right"] and row["near_miss_named"]):
        print("MISSED", row)
    return row


def _summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "models": len(rows),
        "groups_right": sum(r["right"] for r in rows),
        "larger_than_planted": sum(r["kinematic"] > r["order"] for r in rows),
        "damaged": sum(bool(r["damage"]) and r["order"] > 1 for r in rows),
        "near_misses_named": sum(r["near_miss_named"] for r in rows if r["damage"] and r["order"] > 1),
        "proved": sum(r["holds"] is True for r in rows),
        "refuted": sum(r["holds"] is False for r in rows),
        "seconds_median": float(np.median([r["seconds"] for r in rows])),
        "seconds_max": max(r["seconds"] for r in rows),
        "joints_max": max(r["joints"] for r in rows),
    }


if __name__ == "__main__":
    sys.exit(main())
