"""Reading a state's layout from the joints of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import mujoco
import numpy as np

from eqrl.arrays import Floats
from eqrl.envs.core.coordinates import BallJoint, Body, Coordinates, FreeBody, MocapBody, Reflection, YawHinge
from eqrl.symmetry import EntitySet, Field, Group

_FREE, _BALL = int(mujoco.mjtJoint.mjJNT_FREE), int(mujoco.mjtJoint.mjJNT_BALL)
_SLIDE, _HINGE = int(mujoco.mjtJoint.mjJNT_SLIDE), int(mujoco.mjtJoint.mjJNT_HINGE)
_SAME = 1e-9


class Joints(NamedTuple):
    """What a model's joints and mocap bodies are, in the terms of :class:`~eqrl.envs.core.layout.StateLayout`."""

    bodies: Sequence[FreeBody]
    coordinates: Sequence[Coordinates]
    entities: Sequence[EntitySet]
    yaws: Sequence[YawHinge]
    balls: Sequence[BallJoint]
    mocap: Sequence[MocapBody]


def read_joints(
    model: mujoco.MjModel,
    group: Group,
    entities: tuple[EntitySet, ...],
    members: Mapping[str, Sequence[str]],
    reflections: Mapping[str, Reflection],
) -> Joints:
    """What :meth:`StateLayout.of` is made of, whose arguments these are."""
    reader = _Reader(model, group, entities, members, reflections)
    reader.read()
    mocap = tuple(map(reader.mocap, _mocap_bodies(model)))
    return Joints(reader.free, reader.coordinates, reader.entities, reader.yaws, reader.balls, mocap)


class _Reader:
    def __init__(
        self,
        model: mujoco.MjModel,
        group: Group,
        entities: tuple[EntitySet, ...],
        members: Mapping[str, Sequence[str]],
        reflections: Mapping[str, Reflection],
    ) -> None:
        self.model, self.group, self.members, self.reflections = model, group, members, reflections
        self.entities = list(entities)
        self.free: list[FreeBody] = []
        self.balls: list[BallJoint] = []
        self.yaws: list[YawHinge] = []
        self.coordinates: list[Coordinates] = []
        self.slides: dict[str, list[int]] = {}  # body on slides of the world -> its joints along x, y and z
        self.single: dict[str, int] = {}  # body on a single hinge or slide that is a scalar -> this joint
        self.data = mujoco.MjData(model)
        mujoco.mj_kinematics(model, self.data)

    def read(self) -> None:
        m = self.model
        self._check_exchanged()
        scalars = []
        for j in range(m.njnt):
            kind, body = int(m.jnt_type[j]), int(m.jnt_bodyid[j])
            qpos, dof = int(m.jnt_qposadr[j]), int(m.jnt_dofadr[j])
            if kind == _FREE:
                self.free.append(FreeBody(self.body(body), qpos, dof))
            elif kind == _BALL:
                rest = None if self._parent_turns(body) else self._rotation(body)
                self.balls.append(BallJoint(self.body(body), qpos, dof, rest))
            elif "joints" in self.group.relabels or not self._parent_stands(body):
                scalars.append(j)
            elif kind == _SLIDE and self.group.connected != "1":
                self.slides.setdefault(m.body(body).name, []).append(j)
            elif kind == _HINGE and abs(self.data.xaxis[j, 2]) > 1 - _SAME:
                self._check_upright(j)
                sense, rest = float(np.sign(self.data.xaxis[j, 2])), self._rotation(body)
                self.yaws.append(YawHinge(self.name(j), self.body(body), qpos, dof, sense, float(m.qpos0[qpos]), rest))
            else:
                scalars.append(j)
        alone = [j for j in scalars if m.body_jntnum[m.jnt_bodyid[j]] == 1]
        self.single = {m.body(int(m.jnt_bodyid[j])).name: j for j in alone}
        one_of = {body: name for name, bodies in self.members.items() for body in bodies}
        for slider, joints in self.slides.items():
            if slider not in one_of:
                self._add_vectors(slider, None, [joints])
        for name, bodies in self.members.items():
            self._read_members(name, bodies)
        self._read_scalars([j for j in scalars if m.body(int(m.jnt_bodyid[j])).name not in one_of])

    # ------------------------------------------------------------------ bodies
    def body(self, body: int) -> Body:
        """A body with what moves its own axes."""
        name = str(self.model.body(body).name)
        frame = f"{name or f'body{body}'} axes"
        return Body(name, frame if frame in self.group.relabels else None, self._reflection(body))

    def mocap(self, body: int) -> MocapBody:
        return MocapBody(self.body(body), int(self.model.body_mocapid[body]))

    def _reflection(self, body: int) -> Reflection | None:
        while body > 0:
            if (name := self.model.body(body).name) in self.reflections:
                return self.reflections[name]
            body = int(self.model.body_parentid[body])
        return None

    def _parent_stands(self, body: int) -> bool:
        return int(self.model.body_weldid[self.model.body_parentid[body]]) == 0

    def _parent_turns(self, body: int) -> bool:
        """Whether its parent hangs on more than slides, which leave an orientation alone."""
        parent = self.model.body_weldid[self.model.body_parentid[body]]
        while parent != 0:
            first, count = int(self.model.body_jntadr[parent]), int(self.model.body_jntnum[parent])
            if any(int(self.model.jnt_type[j]) != _SLIDE for j in range(first, first + count)):
                return True
            parent = self.model.body_weldid[self.model.body_parentid[parent]]
        return False

    def _rotation(self, body: int) -> Floats:
        return np.array(self.data.xmat[body].reshape(3, 3))

    def _check_upright(self, joint: int) -> None:
        if not self.group.fixes_gravity:
            raise ValueError(
                f"group {self.group} tilts the axis of joint {self.name(joint)!r}, which stands upright in the world;"
                " use SO2 or O2"
            )

    def _check_exchanged(self) -> None:
        if "bodies" not in self.group.relabels:
            return
        heads = np.flatnonzero(self.model.body_weldid == np.arange(self.model.nbody))
        moved = (
            np.abs(self.group.cosets.h["bodies"].numpy()).sum(axis=0) - np.eye(len(heads)) * len(self.group.cosets.R)
        ) > _SAME
        for k in np.flatnonzero(moved.any(axis=0)):
            first = int(self.model.body_jntadr[heads[k]])
            if first >= 0 and int(self.model.jnt_type[first]) in (_FREE, _BALL):
                name = self.model.body(int(heads[k])).name
                raise ValueError(
                    f"group {self.group} exchanges body {name!r}, which has a free or ball joint, with another; leave"
                    " that generator out"
                )

    # ------------------------------------------------------------------ slides of the world, members of sets
    def _read_members(self, name: str, bodies: Sequence[str]) -> None:
        if all(body in self.single for body in bodies):
            joints = [self.single[body] for body in bodies]
            parities = {self._parity(j) for j in joints}
            if len(parities) > 1:
                raise ValueError(f"members[{name!r}] are joints of which a mirror reverses some and not others")
            self.coordinates.append(self._coordinates(Field(name, f"1x0{parities.pop()}", entities=name), joints))
            return
        if missing := [body for body in bodies if body not in self.slides]:
            raise ValueError(
                f"members[{name!r}] names {missing[0]!r}, which is no body on slides along the world's axes, nor does"
                " every member hang on one hinge or slide"
            )
        self._add_vectors(name, name, [self.slides[body] for body in bodies])

    def _add_vectors(self, name: str, entities: str | None, bodies: list[list[int]]) -> None:
        m = self.model
        for joints in bodies:
            if not (
                len(joints) in (2, 3) and np.allclose(self.data.xaxis[joints], np.eye(3)[: len(joints)], atol=_SAME)
            ):
                body = m.body(int(m.jnt_bodyid[joints[0]])).name
                raise ValueError(
                    f"body {body!r} has slides along {self.data.xaxis[joints].round(3).tolist()}; group {self.group}"
                    " turns them if they are along x, y (and z), in this order"
                )
        ordered = [j for joints in bodies for j in joints]
        field = Field(name, "1x1o", entities=entities, horizontal=len(bodies[0]) == 2)
        self.coordinates.append(self._coordinates(field, ordered))

    # ------------------------------------------------------------------ all other hinges and slides
    def _read_scalars(self, joints: list[int]) -> None:
        if "joints" in self.group.relabels:
            names = tuple("joint" for _ in joints)
            self.entities.append(EntitySet("joints", names))
            self.coordinates.append(self._coordinates(Field("joints", "1x0e", entities="joints"), joints))
            return
        for j in joints:
            self.coordinates.append(self._coordinates(Field(self.name(j), f"1x0{self._parity(j)}"), [j]))

    def _parity(self, joint: int) -> str:
        """``"o"`` for a joint that a mirror of the world reverses."""
        if not self.group.has_mirrors:
            return "e"
        body = int(self.model.jnt_bodyid[joint])
        reflection = self._reflection(body)
        if reflection is None:
            raise ValueError(
                f"joint {self.name(joint)!r}: group {self.group} has mirrors, and nothing says what they do to it; give"
                f" a group that derive(model) found, or reflections={{{self.model.body(body).name!r}: (1.0, -1.0,"
                " 1.0)} for a body that is its own mirror image"
            )
        frame, axis = np.diag(reflection), self.model.jnt_axis[joint]
        sign = np.linalg.det(frame) if self.model.jnt_type[joint] == _HINGE else 1.0
        image = float(sign * (frame @ axis) @ axis)
        if abs(abs(image) - 1.0) > _SAME:
            raise ValueError(
                f"joint {self.name(joint)!r}: the reflection {reflection} of its body does not keep its axis"
                f" {axis.tolist()}"
            )
        return "e" if image > 0 else "o"

    def _coordinates(self, field: Field, joints: list[int]) -> Coordinates:
        m = self.model
        return Coordinates(
            field, tuple(int(m.jnt_qposadr[j]) for j in joints), tuple(int(m.jnt_dofadr[j]) for j in joints)
        )

    def name(self, joint: int) -> str:
        return str(self.model.joint(joint).name or f"joint{joint}")


def _mocap_bodies(model: mujoco.MjModel) -> list[int]:
    return [int(b) for b in np.flatnonzero(model.body_mocapid >= 0)]
