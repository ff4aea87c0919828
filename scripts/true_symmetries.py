"""Build robots whose symmetry is true by construction, and count how often ``verify`` refutes it; it never should.

    python scripts/true_symmetries.py --robots 100 --seeds 4 --out results/check

Every robot is a random tree on a free base, copied by a random finite group as in ``planted_models.py``, but from all
the shapes that MuJoCo collides: cylinders, boxes, ellipsoids, capsules, spheres and convex meshes, whose mirror images
are separate meshes. Limbs touch the ground and each other, and carry sensors of many kinds. The symmetries that
``derive`` finds are proved from several seeds. The file is written after every robot, so a run that is cut short leaves
its results, and the next run continues from there.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray
from planted_models import PLANTED, closed
from rotations import quat, uniform_rotation

from eqrl import derive, verify

Floats = NDArray[np.float64]

GROUPS = ("mirror", "half turn", "two mirrors", "C3", "C4", "D3", "half turn about x")
SHAPES = ("cylinder", "mesh", "box", "ellipsoid", "capsule", "sphere")
_MIRRORED = np.diag([1.0, -1.0, 1.0])  # keeps the third axis, along which a rangefinder looks
_SITE_SENSORS = ("accelerometer", "velocimeter", "gyro", "force", "torque", "touch", "magnetometer", "rangefinder")
_FRAME_SENSORS = ("framepos", "framelinvel", "frameangvel", "framelinacc", "frameangacc", "subtreecom", "subtreelinvel")
_JOINT_SENSORS = ("jointpos", "jointvel", "jointactuatorfrc")
_DEEPEST = -1e-3
_TRIES = 40


@dataclass(frozen=True)
class Link:
    """One link of a limb, in the frame of the torso.

    Attributes:
        anchor: of its joint.
        axis: of its joint.
        slides: whether the joint is a slide.
        limits: of the joint, radians or metres.
        shape: one of ``SHAPES``.
        size: half sizes of the shape.
        where: centre of the shape.
        axes: axes of the shape, columns.
        vertices: of a mesh, about its centre.
        sensors: kinds of sensors on it.
        numbers: armature, damping, stiffness, friction, gear and mass.
    """

    anchor: Floats
    axis: Floats
    slides: bool
    limits: Floats
    shape: str
    size: Floats
    where: Floats
    axes: Floats
    vertices: Floats
    sensors: tuple[str, ...]
    numbers: dict[str, float] = field(default_factory=dict)


def robot(seed: int) -> tuple[mujoco.MjModel, str, int]:
    """A random robot, with the name and the order of its planted group.

    Every third robot is built at right angles, as people build them: hinges and shapes along the same axes, so that
    shapes meet along lines and faces. Parts overlap in some robots; these are drawn again, because overlaps explode.
    """
    rng = np.random.default_rng([seed, 5])
    for _ in range(_TRIES):
        spec, group, order = _draw(rng, aligned=seed % 3 == 2)
        model = spec.compile()
        data = mujoco.MjData(model)
        mujoco.mj_forward(model, data)
        if data.contact.dist.min(initial=0.0) > _DEEPEST:
            return model, group, order
    raise RuntimeError(f"seed {seed}: parts overlap in all {_TRIES} robots")


def _draw(rng: np.random.Generator, aligned: bool) -> tuple[mujoco.MjSpec, str, int]:
    group = str(rng.choice(GROUPS))
    elements = closed(PLANTED[group])
    spec = mujoco.MjSpec()
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.timestep = 0.002
    spec.option.magnetic = [0.0, 0.0, -0.5]  # any other direction would break the symmetry
    spec.option.integrator = rng.choice([0, 2, 3])
    spec.option.impratio = float(rng.choice([1.0, 5.0]))
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1], name="floor")
    frame = uniform_rotation(rng)
    torso = spec.worldbody.add_body(name="torso", pos=[0, 0, 1.5], quat=quat(frame))
    torso.add_freejoint(name="root")
    torso.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[0.1, 0, 0], density=900.0)
    torso.add_site(name="imu", quat=quat(frame.T))
    for kind in ("accelerometer", "gyro", "magnetometer"):
        _sensor(spec, kind, "imu", mujoco.mjtObj.mjOBJ_SITE)
    limbs = int(rng.integers(1, 3 if len(elements) > 3 else 4))
    # a limb and its images have the same numbers, so they are drawn once
    chains = [_chain(rng, k, aligned) for k in range(limbs)]
    jobs = [(chain, g, f"limb{k}_{i}") for k, chain in enumerate(chains) for i, g in enumerate(elements)]
    for i in rng.permutation(len(jobs)):
        _add(spec, torso, frame, *jobs[i], rng)
    return spec, group, len(elements)


def _chain(rng: np.random.Generator, k: int, aligned: bool) -> list[Link]:
    """A limb that points outwards, in general position or with all axes at right angles."""
    out = _unit(rng)
    links, anchor = [], 0.13 * out
    hinge = np.eye(3)[rng.integers(3)]
    for i in range(int(rng.integers(1, 4))):
        step = out + 0.5 * _unit(rng)
        end = anchor + (0.14 + 0.02 * k) * step / np.linalg.norm(step)
        shape = SHAPES[int(rng.integers(len(SHAPES)))]
        size = rng.uniform(0.02, 0.045, size=3)
        links.append(
            Link(
                anchor=anchor,
                axis=hinge if aligned else _unit(rng),
                slides=bool(rng.random() < 0.1),
                limits=np.array([-rng.uniform(0.3, 1.0), rng.uniform(0.3, 1.0)]),
                shape=shape,
                size=size,
                where=0.3 * anchor + 0.7 * end,
                axes=_right_angles(rng) if aligned else uniform_rotation(rng),
                vertices=size * _on_sphere(rng, 12) if shape == "mesh" else np.zeros((0, 3)),
                sensors=_some(rng, _SITE_SENSORS, 2) + _some(rng, _FRAME_SENSORS, 1) + _some(rng, _JOINT_SENSORS,
                1) if i % 2 == 0 else (),
                numbers={
                    "armature": rng.uniform(0.005, 0.05), "damping": rng.uniform(0.05, 0.5),
                    "stiffness": rng.choice([0.0, 1.0]),
                    "friction": rng.uniform(0.4, 1.2), "gear": rng.uniform(1.0, 4.0), "mass": rng.uniform(0.1, 0.6),
                    "condim": rng.choice([1, 3, 4, 6]),
                },
            )
        )  # fmt: skip
        anchor = end
    return links


def _add(
    spec: mujoco.MjSpec,
    torso: Any,
    torso_frame: Floats,
    chain: Sequence[Link],
    g: Floats,
    name: str,
    rng: np.random.Generator,
) -> None:
    """A copy of a limb, moved by ``g``, with random body frames."""
    det = float(np.linalg.det(g))
    parent, frame, origin = torso, torso_frame, np.zeros(3)
    for i, link in enumerate(chain):
        orientation = uniform_rotation(rng)
        where = g @ link.anchor
        body = parent.add_body(name=f"{name}_{i}", pos=frame.T @ (where - origin), quat=quat(frame.T @ orientation))
        frame, origin = orientation, where
        flip = float(rng.choice([-1.0, 1.0]))
        axis = flip * g @ link.axis * (1.0 if link.slides else det)
        limits = np.sort(flip * link.limits) * (0.1 if link.slides else 180.0 / np.pi)
        n = link.numbers
        body.add_joint(
            name=f"{name}_{i}_joint", type=mujoco.mjtJoint.mjJNT_SLIDE if link.slides else mujoco.mjtJoint.mjJNT_HINGE,
            axis=frame.T @ axis, range=limits, limited=True,
            armature=n["armature"], damping=n["damping"], stiffness=n["stiffness"],
        )  # fmt: skip
        # the frame of a mirrored shape differs: its second axis, and with it the mesh, is reversed
        turned, vertices = (
            (g @ link.axes, link.vertices) if det > 0 else (g @ link.axes @ _MIRRORED, link.vertices @ _MIRRORED)
        )
        mesh = f"{name.split('_')[0]}_{i}_{'right' if det > 0 else 'left'}"
        if link.shape == "mesh" and mesh not in [m.name for m in spec.meshes]:
            spec.add_mesh(name=mesh, uservert=vertices.ravel())
        body.add_geom(
            name=f"{name}_{i}_geom", type=getattr(mujoco.mjtGeom, f"mjGEOM_{link.shape.upper()}"), size=link.size,
            meshname=mesh if link.shape == "mesh" else "", pos=frame.T @ (g @ link.where - origin),
            quat=quat(frame.T @ turned),
            mass=n["mass"], friction=[n["friction"], 0.005, 0.0001], condim=int(n["condim"]),
        )  # fmt: skip
        body.add_site(
            name=f"{name}_{i}_site",
            pos=frame.T @ (g @ link.where - origin),
            quat=quat(frame.T @ turned),
            size=[0.05] * 3,
        )
        for kind in link.sensors:
            if kind in _SITE_SENSORS:
                _sensor(spec, kind, f"{name}_{i}_site", mujoco.mjtObj.mjOBJ_SITE)
            elif kind in _JOINT_SENSORS:
                _sensor(spec, kind, f"{name}_{i}_joint", mujoco.mjtObj.mjOBJ_JOINT)
            else:
                _sensor(spec, kind, f"{name}_{i}", mujoco.mjtObj.mjOBJ_BODY)
        motor = spec.add_actuator(
            name=f"{name}_{i}_motor", target=f"{name}_{i}_joint", trntype=mujoco.mjtTrn.mjTRN_JOINT
        )
        motor.gear = [float(rng.choice([-1.0, 1.0])) * n["gear"], 0, 0, 0, 0, 0]
        motor.ctrlrange, motor.ctrllimited = [-1.0, 1.0], True
        parent = body


def _sensor(spec: mujoco.MjSpec, kind: str, thing: str, of: mujoco.mjtObj) -> None:
    name = {"jointactuatorfrc": "JOINTACTFRC"}.get(kind, kind.upper())
    sensor = spec.add_sensor(
        name=f"{kind} of {thing}", type=getattr(mujoco.mjtSensor, f"mjSENS_{name}"), objtype=of, objname=thing
    )
    if kind == "rangefinder":
        sensor.intprm[0] = 1 << int(mujoco.mjtRayDataField.mjRAYDATA_DIST)


def _some(rng: np.random.Generator, kinds: Sequence[str], n: int) -> tuple[str, ...]:
    return tuple(map(str, rng.choice(kinds, size=n, replace=False)))


def _on_sphere(rng: np.random.Generator, n: int) -> Floats:
    points = rng.standard_normal((n, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def _unit(rng: np.random.Generator) -> Floats:
    return _on_sphere(rng, 1)[0]


def _right_angles(rng: np.random.Generator) -> Floats:
    axes = np.eye(3)[rng.permutation(3)] * rng.choice([-1.0, 1.0], size=3)
    return axes * np.linalg.det(axes)


def examine(seed: int, seeds: int, states: int) -> dict[str, Any]:
    """Derive the symmetry of one robot and prove it from several seeds."""
    model, group, order = robot(seed)
    start = time.perf_counter()
    derivation = derive(model)
    refusals = []
    remarks: set[str] = set()
    generators = 0
    for k in range(seeds):
        verdicts = verify(model, derivation, seed=k, states=states)
        generators += len(verdicts)
        remarks |= {r.split(":")[0] for v in verdicts for r in v.remarks}
        refusals += [
            {
                "seed": k,
                "generator": v.name,
                "field": v.field,
                "step": v.step,
                "cause": str(v.cause),
                "errors": dict(v.errors),
            }
            for v in verdicts
            if not v.holds
        ]
    shapes = sorted({mujoco.mjtGeom(int(t)).name.removeprefix("mjGEOM_").lower() for t in model.geom_type})
    return {
        "robot": seed, "planted": group, "order": order, "derived": derivation.order("dynamic"),
        "joints": int(model.njnt),
        "sensors": int(model.nsensor), "shapes": shapes, "generators": generators, "refusals": refusals,
        "remarks": sorted(remarks), "seconds": round(time.perf_counter() - start, 2),
    }  # fmt: skip


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Totals over all robots."""
    return {
        "robots": len(rows),
        "generators_tried": sum(r["generators"] for r in rows),
        "refuted": sum(len(r["refusals"]) for r in rows),
        "not_derived": sum(r["derived"] < r["order"] for r in rows),
        "with_cylinders": sum("cylinder" in r["shapes"] for r in rows),
        "with_meshes": sum("mesh" in r["shapes"] for r in rows),
        "sensors": sum(r["sensors"] for r in rows),
        "seconds_median": float(np.median([r["seconds"] for r in rows])),
    }


def main() -> int:
    """Build, derive, prove, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--robots", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--states", type=int, default=24)
    parser.add_argument("--first", type=int, default=0, help="number of the first robot")
    parser.add_argument("--again", action="store_true", help="discard the results of an earlier run")
    parser.add_argument("--out", type=Path, default=Path("results/check"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    path, options = args.out / "true_symmetries.json", {"seeds": args.seeds, "states": args.states}
    before = json.loads(path.read_text()) if path.is_file() and not args.again else {}
    rows = before["models"] if before.get("options") == options else []
    done = {r["robot"] for r in rows}
    for i in range(args.first, args.first + args.robots):
        if i in done:
            continue
        row = examine(i, args.seeds, args.states)
        rows.append(row)
        for refusal in row["refusals"]:
            print("REFUTED", i, row["planted"], refusal, flush=True)
        aside = path.with_suffix(".tmp")
        aside.write_text(json.dumps({"summary": summary(rows), "options": options, "models": rows}, indent=1) + "\n")
        os.replace(aside, path)
    print(json.dumps(summary(rows), indent=2))
    return 1 if summary(rows)["refuted"] else 0


if __name__ == "__main__":
    sys.exit(main())
