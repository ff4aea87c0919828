"""What a policy for robots of any shape sees and does: one token for each limb, beside a few globals."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from eqrl.arrays import Floats
from eqrl.envs.core import World
from eqrl.envs.robots.limbs import Limbs
from eqrl.symmetry import EntitySet, Field, adjacency
from eqrl.symmetry.fields import Role

_FASTEST = 10.0  # m/s, to which 3D-SGRL shortens velocities


class Tokens:
    """Limb tokens of one robot, padded to a number of slots.

    Attributes:
        fields: of the observation.
        actions: fields of the action.
        entities: the limbs' entity set.
    """

    fields: tuple[Field, ...]
    actions: tuple[Field, ...]

    def __init__(self, model: mujoco.MjModel, limbs: Limbs, slots: int, mirrored: bool) -> None:
        """Prepare the indices.

        Args:
            model: compiled model.
            limbs: its limbs.
            slots: number of tokens, padding included.
            mirrored: whether the numbers of a limb mean the same after a mirror.
        """
        self.limbs = limbs
        self.slots = slots
        self.entities = EntitySet("limbs", ("limb",) * slots, mask="real", exchangeable=True, mirrored=mirrored)
        self.has_joint = limbs.joints >= 0
        joints = np.where(self.has_joint, limbs.joints, 0)
        self.joint = joints
        self.qpos, self.dof = model.jnt_qposadr[joints].astype(np.intp), model.jnt_dofadr[joints].astype(np.intp)
        self.sign = np.where(self.has_joint, limbs.signs, 0.0)
        self.root = int(model.body_rootid[limbs.bodies[0]])
        limited = self.has_joint & (model.jnt_limited[joints] != 0)
        span = np.where(limited[..., None], model.jnt_range[joints], (-np.pi, np.pi))
        self.low, self.high = np.where(self.has_joint[..., None], span, 0.0).transpose(2, 0, 1)
        self._padded: dict[str, NDArray[np.float32]] = {}

    def observe(self, world: World, target: Floats) -> dict[str, Any]:
        """Fields of the observation.

        Args:
            world: all simulations.
            target: unit vectors towards the target, ``(n, 3)``.
        """
        raise NotImplementedError

    def constants(self) -> dict[str, Any]:
        """Fields that never change, for one simulation and without padding."""
        raise NotImplementedError

    def _motion(self, world: World) -> tuple[Floats, Floats, Floats, Floats]:
        """Positions relative to the trunk, velocities and angular velocities, each ``(n, limbs, 3)``, and heights."""
        data, bodies = world.data, self.limbs.bodies
        spots = data.xpos[:, bodies]
        spatial = data.cvel[:, bodies]  # about the centre of mass of the whole robot
        spin = spatial[..., :3]
        velocity = spatial[..., 3:] + _cross(spin, spots - data.subtree_com[:, None, self.root])
        return spots - spots[:, :1], velocity, spin, spots[..., 2]

    def _fill(self, values: dict[str, Any], n: int) -> dict[str, Any]:
        """Pad what changes, beside what does not."""
        if not self._padded or len(next(iter(self._padded.values()))) != n:
            widths = {f.name: f.width for f in self.fields if f.entities is not None}
            # what observations are in the end: one conversion less
            self._padded = {name: np.zeros((n, self.slots, width), np.float32) for name, width in widths.items()}
            for name, constant in self.constants().items():
                if name not in widths:
                    continue
                constant = np.asarray(constant, dtype=np.float32)
                self._padded[name][:, : len(constant)] = constant.reshape(len(constant), -1)
        count = self.limbs.count
        for name, value in values.items():
            block = self._padded[name]
            block[:, :count] = value.reshape(n, count, block.shape[-1])
        return self._padded


class TypedTokens(Tokens):
    """Limb tokens in which a mirror of the world has a meaning for each limb alone (:mod:`eqrl.envs.robots.limbs`)."""

    def __init__(
        self,
        model: mujoco.MjModel,
        limbs: Limbs,
        slots: int,
        strength: Floats,
        kinds: tuple[str, ...],
        mirrored: bool,
        morphology: bool = True,
    ) -> None:
        """Declare the fields.

        Args:
            model: compiled model.
            limbs: its limbs.
            slots: number of tokens, padding included.
            strength: torque of each joint at action 1, N m, ``(n, odd + even)``; 0 where nothing drives it.
            kinds: all kinds of limbs, in the order of their one-hot code.
            mirrored: whether the robot belongs to a family that is closed under mirrors.
            morphology: whether to show what never changes for one robot: its tree, ranges, strengths and kinds.
        """
        super().__init__(model, limbs, slots, mirrored)
        self.strength, self.kinds = strength, kinds
        forward_up = np.stack([limbs.forward, limbs.up])
        self.forward_up = forward_up
        parts = [("odd", limbs.odd, "o"), ("even", limbs.even, "e")]
        self.parts = [
            (name, slice(0, n) if name == "odd" else slice(limbs.odd, None), n, p) for name, n, p in parts if n
        ]

        def joints(name: str, description: str, unit: str = "", typed: bool = True, role: Role = "") -> list[Field]:
            return [
                Field(
                    f"{name}_{part}", f"{n}x0{parity if typed else 'e'}", "limbs",
                    role=role, unit=unit, description=f"{description} of {part} joints",
                )
                for part, _, n, parity in self.parts
            ]  # fmt: skip

        many = len(kinds)
        self.fields = (
            Field("target", "1x1o", horizontal=True, role="goal", description="direction to the target"),
            Field("forward", "1x1o", role="heading", description="where the trunk points"),
            Field("up", "1x1o", description="where the top of the trunk is"),
            Field("real", "1x0e", "limbs", description="1 for a limb, 0 for padding"),
            *joints("driven", "1 for those that are driven,", typed=False, role="mask"),
            Field("position", "1x1o", "limbs", role="position", unit="m", description="position relative to the trunk"),
            Field("velocity", "1x1o", "limbs", unit="m/s", description="velocity"),
            Field("angular_velocity", "1x1e", "limbs", unit="rad/s", description="angular velocity"),
            *(
                Field(f"axis_{part}", f"{n}x1{parity}", "limbs", description=f"axes of {part} joints")
                for part, _, n, parity in self.parts
            ),
            *joints("angle", "angles", "rad"),
            *joints("speed", "velocities", "rad/s"),
            Field("height", "1x0e", "limbs", unit="m", description="height"),
        )
        if morphology:
            self.fields += (
                Field("parent", f"{slots}x0e", "limbs", role="parent", description="the kinematic tree"),
                *joints("middle", "middle of the range", "rad"),
                *joints("reach", "half of the range", "rad", typed=False),
                *joints("strength", "torque at action 1", "N m", typed=False),
                Field("kind", f"{many}x0e", "limbs", description=f"1 for one of {', '.join(kinds)}"),
                Field("side", f"{many}x0o", "limbs", description="the same on the left, negative on the right"),
            )
        self.actions = tuple(
            Field(
                f"torque_{part}", f"{n}x0{parity}", "limbs", mask=f"driven_{part}",
                unit="of the actuator's range", description=f"controls of {part} joints",
            )
            for part, _, n, parity in self.parts
        )  # fmt: skip

    def constants(self) -> dict[str, Any]:
        """Masks, tree, ranges, strengths and kinds."""
        limbs = self.limbs
        kind = np.array([[float(k == name) for name in self.kinds] for k in limbs.kinds])
        reach, middle = (self.high - self.low) / 2, self.sign * (self.high + self.low) / 2
        return {
            "real": np.ones(limbs.count),
            "parent": adjacency(limbs.parents.tolist(), self.slots)[: limbs.count],
            "kind": kind,
            "side": kind * limbs.sides[:, None],
            **{
                f"{name}_{part}": value[:, where]
                for part, where, _, _ in self.parts
                for name, value in (
                    ("driven", (self.strength > 0).astype(float)),
                    ("middle", middle),
                    ("reach", reach),
                    ("strength", self.strength),
                )
            },
        }

    def observe(self, world: World, target: Floats) -> dict[str, Any]:
        """Globals, and the state of each limb."""
        data, n = world.data, len(target)
        position, velocity, spin, height = self._motion(world)
        axes = data.xaxis[:, self.joint] * self.sign[..., None]
        angle, speed = data.qpos[:, self.qpos] * self.sign, data.qvel[:, self.dof] * self.sign
        values: dict[str, Any] = {
            "position": position,
            "velocity": velocity,
            "angular_velocity": spin,
            "height": height,
        }
        for part, where, _, _ in self.parts:
            values[f"axis_{part}"] = axes[:, :, where]
            values[f"angle_{part}"] = angle[:, :, where]
            values[f"speed_{part}"] = speed[:, :, where]
        trunk = data.xmat[:, self.limbs.bodies[0]].reshape(n, 3, 3)
        forward, up = np.moveaxis(self.forward_up @ trunk.transpose(0, 2, 1), 1, 0)
        return {"target": target[:, :2], "forward": forward, "up": up, **self._fill(values, n)}


class PublishedTokens(Tokens):
    """The 41 numbers that 3D-SGRL shows of each limb (Chen et al., ICML 2023), typed for rotations, and the tree.

    They show no attitude of the trunk and no joint velocities. Velocities above 10 m/s are shortened as vectors, not
    component by component, which would break rotations.
    """

    def __init__(
        self, model: mujoco.MjModel, limbs: Limbs, slots: int, strength: Floats, morphology: bool = True
    ) -> None:
        """Declare the fields; arguments as of :class:`TypedTokens`. Of the morphology, only the tree can be hidden."""
        super().__init__(model, limbs, slots, mirrored=False)
        self.strength = strength
        self.kinds = ("torso", "thigh", "shin", "foot")
        self.fields = (
            Field("direction", "1x1o", role="goal", description="unit vector to the target"),
            Field("real", "1x0e", "limbs", description="1 for a limb, 0 for padding"),
            Field("driven", "3x0e", "limbs", role="mask", description="1 for joints that are driven"),
            Field("position", "1x1o", "limbs", role="position", unit="m", description="position relative to the torso"),
            Field("gravity", "1x1o", "limbs", unit="m/s^2", description="gravity"),
            Field("target", "1x1o", "limbs", description="unit vector to the target, for each limb"),
            Field("velocity", "1x1o", "limbs", unit="m/s", description="velocity, at most 10"),
            Field("angular_velocity", "1x1e", "limbs", unit="rad/s", description="angular velocity"),
            Field("axes", "3x1e", "limbs", description="axes of the joints, zero for the torso"),
            Field("angles", "3x0e", "limbs", unit="rad", description="joint angles"),
            Field("ranges", "9x0e", "limbs", description="for each joint: place in its range, low and high end"),
            Field("kind", "4x0e", "limbs", description="1 for torso, thigh, shin or foot; arms and tails have none"),
            Field("height", "1x0e", "limbs", unit="m", description="height"),
        )
        if morphology:
            self.fields += (Field("parent", f"{slots}x0e", "limbs", role="parent", description="the kinematic tree"),)
        self.actions = (
            Field("torque", "3x0e", "limbs", mask="driven", unit="of the gear", description="controls of the joints"),
        )

    def constants(self) -> dict[str, Any]:
        """Masks, tree, gravity and kinds."""
        return {
            "real": np.ones(self.limbs.count),
            "parent": adjacency(self.limbs.parents.tolist(), self.slots)[: self.limbs.count],
            "driven": (self.strength > 0).astype(float),
            "gravity": np.tile([0.0, 0.0, -9.81], (self.limbs.count, 1)),
            "kind": [[float(kind == name) for name in self.kinds] for kind in self.limbs.kinds],
        }

    def observe(self, world: World, target: Floats) -> dict[str, Any]:
        """The 41 numbers."""
        data, n = world.data, len(target)
        position, velocity, spin, height = self._motion(world)
        fast = np.linalg.norm(velocity, axis=-1, keepdims=True) / _FASTEST
        angle = np.where(self.has_joint, data.qpos[:, self.qpos], 0.0)
        width = np.where(self.high > self.low, self.high - self.low, 1.0)
        place = np.where(self.has_joint, (angle - self.low) / width, 0.5)
        low, high = (np.where(self.has_joint, (180.0 + np.rad2deg(end)) / 360.0, 0.5) for end in (self.low, self.high))
        ranges = np.stack([place, np.broadcast_to(low, place.shape), np.broadcast_to(high, place.shape)], axis=-1)
        values = {
            "position": position,
            "target": np.repeat(target[:, None], self.limbs.count, axis=1),
            "velocity": velocity / np.maximum(fast, 1.0),
            "angular_velocity": spin,
            "axes": data.xaxis[:, self.joint] * self.has_joint[..., None],
            "angles": angle,
            "ranges": ranges,
            "height": height,
        }
        return {"direction": target, **self._fill(values, n)}


def _cross(a: Floats, b: Floats) -> Floats:
    """Cross products along the last axis; NumPy's own is several times slower on short vectors."""
    out = np.empty_like(a)
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        out[..., i] = a[..., j] * b[..., k] - a[..., k] * b[..., j]
    return out
