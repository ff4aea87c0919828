"""Plant wrong symmetry maps and broken worlds, and count how many `verify` catches and how often it names the cause.

    python scripts/planted_wrong_maps.py --out results/check

Models: robots of Gymnasium (the Humanoid with its two broken attributes repaired) and random planted ones. Each true
symmetry gets one slip: a flipped sign of a joint or actuator, two exchanged joints or actuators, or the axial rule
forgotten for hinges or angular velocity. In addition, true maps are tried in a broken world: pyramidal cone, wind,
tilted gravity. A slip that happens to give another true symmetry of the model is not counted.

A second part plants slips in declarations from outside (``planted_declarations.py``: parity, sign, permutation, frame)
and counts how many ``check_environment`` refuses, and how often it names the field. The correct declarations have to
pass.
"""

from __future__ import annotations

import argparse
import copy
import csv
import json
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import gymnasium
import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray
from planted_declarations import right, slips
from planted_models import plant

from eqrl import check_environment, derive, verify
from eqrl.derivation import Derivation, Symmetry
from eqrl.symmetry import SymmetryError

Floats = NDArray[np.float64]
ASSETS = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"
REPAIRED = {"right_hip_y": ("armature", "left_hip_y"), "right_knee": ("stiffness", "left_knee")}
ROBOTS = (("mirror", 1), ("C3", 2), ("D3", 3), ("two mirrors", 4), ("D4", 5), ("C5", 6), ("mirror", 7))
_HINGE, _FREE = int(mujoco.mjtJoint.mjJNT_HINGE), int(mujoco.mjtJoint.mjJNT_FREE)


@dataclass(frozen=True)
class Plant:
    """One planted error.

    Attributes:
        model: name of the model.
        kind: of the slip.
        expected: causes that would be right, any order of names in them.
        check: the model and the map to verify.
    """

    model: str
    kind: str
    expected: tuple[str, ...]
    check: tuple[mujoco.MjModel, Symmetry]


@dataclass(frozen=True, eq=False)
class SpinForgotten(Symmetry):
    """A hand-written map that treats angular velocities as polar vectors."""

    def qvel(self, qvel: ArrayLike, qpos: ArrayLike) -> Floats:
        """Map velocities without the determinant on angular ones."""
        out = super().qvel(qvel, qpos)
        m = self.model
        for j in np.flatnonzero(m.jnt_type == _FREE):
            frame = self.frames[m.jnt_bodyid[j], :3, :3]
            out[..., m.jnt_dofadr[j] + 3 : m.jnt_dofadr[j] + 6] *= np.linalg.det(frame)
        return out


def models() -> Iterator[tuple[str, mujoco.MjModel]]:
    """Models with elliptic cones and their names."""
    for name in ("ant", "humanoid", "walker2d_v5", "swimmer"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecated attributes in Gymnasium's files
            spec = mujoco.MjSpec.from_file(str(ASSETS / f"{name}.xml"))
            if name == "humanoid":
                for joint, (attribute, like) in REPAIRED.items():
                    setattr(spec.joint(joint), attribute, getattr(spec.joint(like), attribute))
            spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
            yield name, spec.compile()
    for group, seed in ROBOTS:
        yield f"planted {group} {seed}", plant(seed, group).spec.compile()


def plants(name: str, model: mujoco.MjModel, rng: np.random.Generator, most: int = 3) -> Iterator[Plant]:
    """Wrong maps and broken worlds of one model, at most ``most`` of each kind for each generator."""
    derivation = derive(model)
    for symmetry in derivation.dynamic:
        for kind, expected, wrong in _wrong_maps(model, symmetry, rng, most):
            if not derivation.contains(wrong) or isinstance(wrong, SpinForgotten):
                yield Plant(name, kind, expected, (model, wrong))
    yield from _broken_worlds(name, model, derivation)


def _wrong_maps(
    model: mujoco.MjModel, s: Symmetry, rng: np.random.Generator, most: int
) -> Iterator[tuple[str, tuple[str, ...], Symmetry]]:
    joints = [model.joint(int(j)).name for j in range(model.njnt)]
    moved_by = {int(model.actuator_trnid[k, 0]): k for k in range(model.nu)}
    scalar = s.scalar_joints
    for j in rng.permutation(scalar)[:most]:
        flip = _flips([j])
        cause = (f"wrong sign of joint {joints[j]}",)
        yield "sign of a joint", cause, s.map(joint_signs=flip)
        if int(j) in moved_by:
            both = s.map(joint_signs=flip, ctrl_signs=_flips([moved_by[int(j)]]))
            yield "sign of a joint and its actuator", cause, both
    for k in rng.permutation(model.nu)[:most]:
        yield (
            "sign of an actuator",
            (f"wrong sign of actuator {_actuator(model, int(k))}",),
            s.map(ctrl_signs=_flips([k])),
        )
    for a, b in _pairs(scalar, rng, most):
        causes = f"joints {joints[a]} and {joints[b]} swapped", f"joints {joints[b]} and {joints[a]} swapped"
        swap = _swaps(a, b)
        yield "two joints", causes, s.map(joints=swap, joint_signs=swap)
        if a in moved_by and b in moved_by:
            too = _swaps(moved_by[a], moved_by[b])
            both = s.map(joints=swap, joint_signs=swap, actuators=too, ctrl_signs=too)
            yield "two joints and their actuators", causes, both
    for a, b in _pairs(np.arange(model.nu), rng, most):
        one, other = _actuator(model, a), _actuator(model, b)
        causes = f"actuators {one} and {other} swapped", f"actuators {other} and {one} swapped"
        yield "two actuators", causes, s.map(actuators=_swaps(a, b), ctrl_signs=_swaps(a, b))
    roots = np.flatnonzero(model.jnt_type == _FREE)
    determinants = [np.linalg.det(s.frames[model.jnt_bodyid[j], :3, :3]) for j in roots]
    if any(d < 0 for d in determinants):
        axial = ("axial vector treated as polar",)
        hinges = scalar[model.jnt_type[scalar] == _HINGE]
        if len(hinges) > 1:
            yield "axial rule of hinges", axial, s.map(joint_signs=_flips(hinges))
            motors = [moved_by[int(j)] for j in hinges if int(j) in moved_by]
            yield "axial rule of hinges", axial, s.map(joint_signs=_flips(hinges), ctrl_signs=_flips(motors))
        yield "axial rule of spin", axial, SpinForgotten(**{f.name: getattr(s, f.name) for f in fields(Symmetry)})


def _broken_worlds(name: str, model: mujoco.MjModel, derivation: Derivation) -> Iterator[Plant]:
    if derivation.world.connected == "1":
        return
    turn = derivation.rotation(np.deg2rad(37.0))

    def pyramid(m: mujoco.MjModel) -> None:
        m.opt.cone = mujoco.mjtCone.mjCONE_PYRAMIDAL

    def wind(m: mujoco.MjModel) -> None:
        m.opt.density, m.opt.wind[:] = 1.2, (3.0, 1.0, 0.0)

    def tilt(m: mujoco.MjModel) -> None:
        m.opt.gravity[:] = 9.81 * np.array([np.sin(0.05), 0.0, -np.cos(0.05)])

    changes: tuple[tuple[str, Callable[[mujoco.MjModel], None]], ...] = (
        ("pyramidal friction cone", pyramid),
        ("wind", wind),
        ("tilted gravity", tilt),
    )
    for cause, change in changes:
        broken = copy.copy(model)
        change(broken)
        yield Plant(name, cause, (cause,), (broken, turn))


def _pairs(members: NDArray[np.int64], rng: np.random.Generator, most: int) -> list[tuple[int, int]]:
    every = [(int(a), int(b)) for i, a in enumerate(members) for b in members[i + 1 :]]
    return [every[i] for i in rng.permutation(len(every))[:most]]


def _flips(which: Any) -> Callable[[Any], Any]:
    def change(values: Floats) -> Floats:
        out = values.copy()
        out[which] *= -1.0
        return out

    return change


def _swaps(a: int, b: int) -> Callable[[Any], Any]:
    def change(values: Any) -> Any:
        out = values.copy()
        out[[a, b]] = values[[b, a]]
        return out

    return change


def _actuator(model: mujoco.MjModel, k: int) -> str:
    return str(model.actuator(k).name or model.joint(int(model.actuator_trnid[k, 0])).name)


def wrong_maps(seed: int, most: int) -> list[dict[str, Any]]:
    """Plant slips into maps, one row for each."""
    rng, rows = np.random.default_rng(seed), []
    for name, model in models():
        for p in plants(name, model, rng, most):
            start = time.perf_counter()
            verdict = verify(p.check[0], p.check[1], seed=seed)[0]
            cause = verdict.cause.id if verdict.cause else ""
            rows.append(
                {
                    "model": p.model,
                    "generator": p.check[1].name,
                    "planted": p.kind,
                    "expected": p.expected[0],
                    "caught": not verdict.holds,
                    "cause": cause,
                    "right": cause in p.expected,
                    "error_1": verdict.error_1,
                    "seconds": round(time.perf_counter() - start, 3),
                }
            )
            if not rows[-1]["right"]:
                print(rows[-1])
    return rows


def wrong_declarations(seed: int) -> tuple[list[dict[str, Any]], dict[str, bool]]:
    """Plant slips into declarations, with a row for each; also returns which of the correct declarations pass."""
    rng, rows, passes = np.random.default_rng(seed), [], {}
    for name, declaration in right():
        passes[name] = _refused(declaration.typed(), seed) is None
        for slip in slips(name, declaration, rng):
            start = time.perf_counter()
            error = _refused(slip.declaration.typed(), seed)
            rows.append(
                {
                    "model": name,
                    "generator": error.generator if error else "",
                    "planted": slip.kind,
                    "expected": " or ".join(slip.fields),
                    "caught": error is not None,
                    "cause": str(error).partition("cause: ")[2].partition(";")[0],
                    "right": error is not None and error.field in slip.fields,
                    "field": error.field if error else "",
                    "seconds": round(time.perf_counter() - start, 3),
                }
            )
            if not rows[-1]["right"]:
                print(rows[-1])
    return rows, passes


def _refused(env: gymnasium.Env[Any, Any], seed: int) -> SymmetryError | None:
    try:
        check_environment(env, steps=20, episodes=2, seed=seed)
    except SymmetryError as error:
        return error
    return None


def _counts(rows: list[dict[str, Any]], right: str) -> dict[str, Any]:
    def count(some: list[dict[str, Any]]) -> dict[str, int]:
        return {"planted": len(some), "caught": sum(r["caught"] for r in some), right: sum(r["right"] for r in some)}

    kinds = {
        kind: count([r for r in rows if r["planted"] == kind]) for kind in sorted({str(r["planted"]) for r in rows})
    }
    return {**count(rows), "seconds": round(sum(r["seconds"] for r in rows), 1), "kinds": kinds}


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    """Plant, verify, count, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results/check"), help="folder for the JSON and CSV files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--most", type=int, default=3, help="slips of each kind for each generator")
    args = parser.parse_args()
    maps = wrong_maps(args.seed, args.most)
    declarations, passes = wrong_declarations(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    summary = {
        **_counts(maps, "cause_right"),
        "declarations": {
            **_counts(declarations, "field_right"),
            "right_ones": len(passes),
            "pass": sum(passes.values()),
        },
    }
    (args.out / "planted_wrong_maps.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    _write(args.out / "planted_wrong_maps.csv", maps)
    _write(args.out / "planted_wrong_declarations.csv", declarations)
    print(f"maps: {summary['caught']} of {summary['planted']} caught, the cause right in {summary['cause_right']}")
    told = summary["declarations"]
    print(
        f"declarations: {told['caught']} of {told['planted']} refused, the field right in {told['field_right']}; ",
        end="",
    )
    print(f"{told['pass']} of {told['right_ones']} right ones pass")


if __name__ == "__main__":
    main()
