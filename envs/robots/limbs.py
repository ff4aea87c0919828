"""The limbs of a robot: which body is a limb, and which of its joints a mirror reverses.

One policy can move robots of different shape if the numbers of each limb mean the same on all of them, and mean the
same after a mirror. A mirror maps a right thigh to a left one. MuJoCo's sign of a joint follows from its axis, which
models write as they like, so each joint gets a sign here with which all limbs agree:

* an *even* hinge turns about the normal of the sagittal plane (a knee bends forward on both sides). Its angle is a
  true scalar and its axis an axial vector;
* an *odd* hinge turns about an axis in that plane (a leg swings outward). Its angle changes sign under the mirror if
  its axis is read as a polar vector.

Limbs on one side may have hinges about any axis; on the sagittal plane itself a mirror leaves only these two kinds. The
rule needs no partner: a robot that has lost its left arm types the right one as before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import mujoco
import numpy as np
from numpy.typing import NDArray

from eqrl.arrays import Floats
from eqrl.envs.robots.derived import group_of
from eqrl.symmetry import SO2, Generator, Group

Indices = NDArray[np.int64]
_HINGE = int(mujoco.mjtJoint.mjJNT_HINGE)
_FREE = int(mujoco.mjtJoint.mjJNT_FREE)
_SAME = 1e-6
_ASIDE = 1e-3  # metres from the sagittal plane at which a limb is on one side


@dataclass(frozen=True, eq=False)
class Limbs:
    """The limbs of one robot, trunk first; limb i is token i of an observation.

    Attributes:
        names: of their bodies.
        kinds: what each limb is, such as ``"thigh"``; mirror images have the same kind.
        bodies: index of each limb's body in the model, ``(n,)``.
        parents: index of each limb's parent among the limbs, -1 for the trunk, ``(n,)``.
        sides: 1 on the left, -1 on the right, 0 on the sagittal plane, ``(n,)``.
        joints: joints of each limb, ``(n, odd + even)``, odd ones first; -1 where there is none.
        signs: with which a coordinate of the model is multiplied, 1 or -1, ``(n, odd + even)``.
        odd: number of slots for odd joints.
        even: number of slots for even joints.
        forward: where the trunk points, in its own axes, ``(3,)``.
        up: where its top is, in its own axes, ``(3,)``.
        mirror: index of each limb's mirror image, ``(n,)``; None if the robot is not its own mirror image.
        derived: the robot's mirror as :func:`eqrl.derive` finds it, or None.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    bodies: Indices
    parents: Indices
    sides: Floats
    joints: Indices
    signs: Floats
    odd: int
    even: int
    forward: Floats
    up: Floats
    mirror: Indices | None
    derived: Generator | None

    @property
    def count(self) -> int:
        """Number of limbs."""
        return len(self.names)

    @property
    def all_kinds(self) -> tuple[str, ...]:
        """Each kind once, in order."""
        return tuple(dict.fromkeys(self.kinds))

    @cached_property
    def left(self) -> Floats:
        """The trunk's left side, in its own axes, ``(3,)``."""
        return np.cross(self.up, self.forward)

    @cached_property
    def slot_of(self) -> Mapping[int, tuple[int, int]]:
        """Limb and slot of each joint."""
        return {int(j): (i, k) for i, row in enumerate(self.joints) for k, j in enumerate(row) if j >= 0}

    def group(self, slots: int) -> Group:
        """The symmetry of this robot on flat ground, with limbs in so many slots.

        Rotations about gravity, and the sagittal mirror together with the exchange of limbs if the robot has one.
        """
        if self.mirror is None:
            return SO2
        exchange = np.eye(slots)
        exchange[:, : self.count] = np.eye(slots)[:, self.mirror]
        return self.group_on({"limbs": exchange})

    def group_on(self, sets: Mapping[str, Floats]) -> Group:
        """The symmetry of this robot on flat ground, which acts on more entity sets.

        Args:
            sets: what its mirror does to each set, a signed permutation or, to a frame, an orthogonal matrix.
        """
        if self.derived is None:
            return SO2
        generator = Generator.of("sagittal mirror", self.derived.R, {**dict(self.derived.h), **sets})
        return Group("O2", "SO2", (generator,))


def limbs_of(
    model: mujoco.MjModel,
    base: str,
    *,
    kinds: Mapping[str, str] | None = None,
    slots: tuple[int, int] | None = None,
) -> Limbs:
    """Find the limbs of a robot and type their joints.

    Bodies without joints belong to the limb that they are fixed to. The trunk points along x where it has no sagittal
    plane, or one with the normal y, as usual in robotics.

    Args:
        model: compiled model, in whose default pose the robot stands upright.
        base: name of the trunk, which has a free joint.
        kinds: kind of each limb by the name of its body; by default, limbs that are mirror images have one kind.
        slots: number of slots for odd and for even joints; by default as many as the limb with the most needs.

    Raises:
        ValueError: for a joint between limbs that is not a hinge, or more joints in a limb than there are slots.
    """
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    trunk = model.body(base).id
    bodies = _bodies(model, trunk)
    derived, normal = _sagittal(model, base)
    up = data.xmat[trunk].reshape(3, 3).T @ [0.0, 0.0, 1.0]
    forward = np.cross(normal, up)
    forward /= np.linalg.norm(forward)
    frame = data.xmat[trunk].reshape(3, 3) @ np.array([forward, normal, up]).T  # columns in the world
    names = tuple(str(model.body(b).name or f"body{b}") for b in bodies)
    mirror = None if derived is None else _images(model, bodies, dict(derived.h)["joints"])
    sides = _sides(names, (data.xpos[bodies] - data.xpos[trunk]) @ frame[:, 1], mirror)
    joints = [_joints(model, b) for b in bodies]
    parity = [[_parity(data.xaxis[j] @ frame) for j in row] for row in joints]
    odd, even = slots or (
        max(sum(sign[0] == "o" for sign in row) for row in parity),
        max(sum(sign[0] == "e" for sign in row) for row in parity),
    )
    table = np.full((len(bodies), odd + even), -1, dtype=np.int64)
    signs = np.ones((len(bodies), odd + even))
    for i, (row, types) in enumerate(zip(joints, parity, strict=True)):
        free = {"o": list(range(odd)), "e": list(range(odd, odd + even))}
        for joint, (kind, sign) in zip(row, types, strict=True):
            if not free[kind]:
                raise ValueError(f"limb {names[i]!r} has more joints than the {odd} odd and {even} even slots can hold")
            k = free[kind].pop(0)
            table[i, k], signs[i, k] = joint, sign
    head = {b: i for i, b in enumerate(bodies)}
    parents = [-1] + [head[int(model.body_weldid[model.body_parentid[b]])] for b in bodies[1:]]
    return Limbs(
        names=names,
        kinds=tuple(kinds[n] for n in names) if kinds else _orbits(names, mirror),
        bodies=np.array(bodies, dtype=np.int64),
        parents=np.array(parents, dtype=np.int64),
        sides=sides,
        joints=table,
        signs=signs,
        odd=odd,
        even=even,
        forward=forward,
        up=up,
        mirror=mirror,
        derived=derived,
    )


def in_order_of_the_model(limbs: Limbs) -> Limbs:
    """The same limbs with their joints in the model's order and with its signs; a mirror has no simple meaning then."""
    last = np.iinfo(np.int64).max
    joints = np.sort(np.where(limbs.joints < 0, last, limbs.joints), axis=1)
    return replace(
        limbs,
        joints=np.where(joints == last, -1, joints),
        signs=np.ones_like(limbs.signs),
        odd=0,
        even=joints.shape[1],
        mirror=None,
        derived=None,
    )


def _bodies(model: mujoco.MjModel, trunk: int) -> list[int]:
    """The trunk and all bodies below it that have joints."""
    below = {trunk}
    bodies = [trunk]
    for b in range(trunk + 1, model.nbody):
        if int(model.body_parentid[b]) in below:
            below.add(b)
            if model.body_jntnum[b]:
                bodies.append(b)
    return bodies


def _joints(model: mujoco.MjModel, body: int) -> list[int]:
    first = int(model.body_jntadr[body])
    joints = [j for j in range(first, first + int(model.body_jntnum[body])) if int(model.jnt_type[j]) != _FREE]
    for j in joints:
        if int(model.jnt_type[j]) != _HINGE:
            raise ValueError(f"joint {model.joint(j).name!r} of the robot is no hinge; only hinges can join its limbs")
    return joints


def _sagittal(model: mujoco.MjModel, base: str) -> tuple[Generator | None, Floats]:
    """The mirror of the robot whose plane is closest to the x-z plane, and the normal of this plane in the trunk."""
    best: tuple[float, Generator | None, Floats] = (-1.0, None, np.array([0.0, 1.0, 0.0]))
    cosets = group_of(model).cosets
    for i in range(cosets.R.shape[0]):
        element = cosets[i]
        axes = element.h.get(f"{base} axes")
        if axes is None or float(np.linalg.det(element.R.numpy())) > 0:
            continue
        values, vectors = np.linalg.eigh((axes + axes.T).numpy() / 2)
        if not np.allclose(values, [-1.0, 1.0, 1.0], atol=_SAME):
            continue
        normal = vectors[:, 0] * (1.0 if vectors[np.abs(vectors[:, 0]).argmax(), 0] > 0 else -1.0)
        if abs(normal[1]) > best[0] + _SAME:
            best = (abs(normal[1]), Generator.of("mirror", element.R.numpy(), element.h), normal)
    return best[1], best[2]


def _images(model: mujoco.MjModel, bodies: Sequence[int], matrix: object) -> Indices:
    """Index of the mirror image of each limb, from that of its joints."""
    moved = np.abs(np.asarray(matrix))
    hinges = [j for j in range(model.njnt) if int(model.jnt_type[j]) != _FREE]
    limb = {b: i for i, b in enumerate(bodies)}
    images = np.arange(len(bodies))
    for k, j in enumerate(hinges):
        image = hinges[int(moved[:, k].argmax())]
        if (body := int(model.jnt_bodyid[j])) in limb:
            images[limb[body]] = limb[int(model.jnt_bodyid[image])]
    return images


def _sides(names: Sequence[str], offsets: Floats, mirror: Indices | None) -> Floats:
    """The side of each limb: by its name, its place, or its parent's; both legs of a robot may stand in one place."""
    sides = np.zeros(len(names))
    for i, name in enumerate(names):
        words = name.lower().replace("-", "_").split("_")
        if {"left", "l", "fl", "rl", "hl"} & set(words):
            sides[i] = 1.0
        elif {"right", "r", "fr", "rr", "hr"} & set(words):
            sides[i] = -1.0
        elif abs(offsets[i]) > _ASIDE:
            sides[i] = np.sign(offsets[i])
    if mirror is not None:
        for i, j in enumerate(mirror):
            if i == j:
                sides[i] = 0.0
            elif sides[i] == 0.0 or sides[i] == sides[j]:  # whatever names say, images are on both sides
                sides[min(i, j)], sides[max(i, j)] = 1.0, -1.0
    return sides


def _parity(axis: Floats) -> tuple[str, float]:
    """Whether a hinge is odd or even, and the sign on which mirror images agree; the axis is forward, left, up."""
    forward, left, up = axis
    if abs(left) >= np.hypot(forward, up) - _SAME:
        return "e", float(np.sign(left))
    return "o", float(np.sign(up if abs(up) >= abs(forward) - _SAME else forward))


def _orbits(names: Sequence[str], mirror: Indices | None) -> tuple[str, ...]:
    """One kind for a limb and its mirror image."""
    return tuple(names) if mirror is None else tuple(names[min(i, int(mirror[i]))] for i in range(len(names)))
