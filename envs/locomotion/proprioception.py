"""What a robot feels of itself: the motion of its trunk in the trunk's own axes, its joints, and its feet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import mujoco
import numpy as np

from eqrl.arrays import Bools, Floats, Ints
from eqrl.envs.core import World
from eqrl.envs.robots.limbs import Limbs
from eqrl.envs.robots.servos import Servos, driven
from eqrl.envs.robots.standing import feet
from eqrl.symmetry import EntitySet

TRUNK = EntitySet("trunk", ("axis",) * 3)
_TOUCHING = 1.0  # N


class Motion(NamedTuple):
    """The motion of the trunk, each along its forward, left and up axis, ``(*batch, 3)``.

    Attributes:
        velocity: m/s.
        spin: angular velocity, rad/s.
        gravity: unit vector downwards.
    """

    velocity: Floats
    spin: Floats
    gravity: Floats


class Proprioception:
    """What can be measured on board of one robot, and how its mirror acts on that.

    Attributes:
        servos: its actuators.
        default: the pose from which angles count, of all hinges in the model's order, ``(n,)``.
        entities: hinges, servos and feet, and the trunk's axes as a frame.
        group: rotations about gravity, and the mirror if it has one.
        remarks: what was changed in its pose.
    """

    def __init__(self, model: mujoco.MjModel, limbs: Limbs, pose: Floats, base: str, floor: int) -> None:
        """Read the model.

        Args:
            model: the robot on its floor; its actuators are position servos.
            limbs: its limbs.
            pose: in which it stands, ``(nq,)``.
            base: name of its trunk.
            floor: the geom that it stands on.
        """
        self.base, self._own = base, np.stack([limbs.forward, limbs.left, limbs.up])
        self.servos = Servos.of(model)
        hinges = np.flatnonzero(model.jnt_type != mujoco.mjtJoint.mjJNT_FREE)
        self._qpos, self._dof = model.jnt_qposadr[hinges].astype(np.int64), model.jnt_dofadr[hinges].astype(np.int64)
        self.driven = np.searchsorted(hinges, self.servos.joints)
        self.default = pose[self._qpos]
        soles = model.geom_bodyid[feet(model, pose, model.body(base).id, floor)]
        self._soles = list(dict.fromkeys(str(model.body(int(b)).name) for b in soles))
        heads: Ints = np.array(list(dict.fromkeys(int(model.body_weldid[b]) for b in soles)), dtype=np.int64)
        self._foot = [int(np.flatnonzero(heads == model.body_weldid[model.body(b).id])[0]) for b in self._soles]
        self.entities = (
            TRUNK,
            EntitySet("joints", ("joint",) * len(hinges)),
            EntitySet("servos", ("servo",) * len(self.servos.joints)),
            EntitySet("feet", ("foot",) * len(heads)),
        )
        self.remarks: tuple[str, ...] = ()
        self.group = limbs.group_on(self._mirror(model, limbs, hinges, heads))

    def _mirror(self, model: mujoco.MjModel, limbs: Limbs, hinges: Ints, heads: Ints) -> Mapping[str, Floats]:
        """What the robot's mirror does to the sets, where it has one; the default pose becomes its own image."""
        if limbs.derived is None:
            return {}
        matrices = {name: np.asarray(matrix) for name, matrix in limbs.derived.h}
        joints = matrices["joints"]
        even = (self.default + joints @ self.default) / 2
        if (even != self.default).any():
            moved = np.rad2deg(np.abs(even - self.default).max())
            self.default = even
            if moved > 1e-6:
                self.remarks = (f"the default pose is averaged with its mirror image, by up to {moved:.3g} degrees",)
        moving = np.flatnonzero(model.body_weldid == np.arange(model.nbody))
        rows = np.searchsorted(moving, heads)
        return {
            "trunk": np.diag([1.0, -1.0, 1.0]),
            "servos": driven(joints, self.servos, hinges.tolist()),
            "feet": np.abs(matrices["bodies"])[np.ix_(rows, rows)],
        }

    # ------------------------------------------------------------------ sensors
    def add_sensors(self, spec: mujoco.MjSpec) -> None:
        """Add sensors of touch to what the robot stands on; the model has no others."""
        for body in self._soles:
            name = f"touch {body}"
            # a site that holds the whole foot, so that every contact of it counts
            spec.body(body).add_site(name=name, type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[1.0, 0.0, 0.0], group=5)
            spec.add_sensor(
                name=name, type=mujoco.mjtSensor.mjSENS_TOUCH, objtype=mujoco.mjtObj.mjOBJ_SITE, objname=name
            )

    def touches(self, world: World) -> Bools:
        """Which feet touch something, ``(*batch, feet)``."""
        forces = world.data.sensordata
        touching = np.zeros((*forces.shape[:-1], self.entities[3].size), dtype=bool)
        for sensor, foot in enumerate(self._foot):
            touching[..., foot] |= forces[..., sensor] > _TOUCHING
        return touching

    def motion(self, world: World) -> Motion:
        """The motion of the trunk, in sums that are written out: the same bits for one simulation and for many."""
        trunk = world.bodies[self.base]
        axes = _combined(self._own, trunk.axes)
        velocity = trunk.velocity
        along = axes[..., 0] * velocity[..., 0, None]
        along = along + axes[..., 1] * velocity[..., 1, None] + axes[..., 2] * velocity[..., 2, None]
        spin = _combined(self._own, trunk.angular_velocity[..., None])[..., 0]
        return Motion(along, spin, -axes[..., 2])

    def offsets(self, world: World) -> Floats:
        """Angles of all hinges from the default pose, rad, ``(*batch, hinges)``."""
        offsets: Floats = world.data.qpos[..., self._qpos] - self.default
        return offsets

    def speeds(self, world: World) -> Floats:
        """Velocities of all hinges, rad/s, ``(*batch, hinges)``."""
        speeds: Floats = world.data.qvel[..., self._dof]
        return speeds

    def hold(self, world: World, offsets: Floats) -> None:
        """Have the servos hold their joints at offsets from the default pose, ``(n, servos)``."""
        world.data.ctrl[:] = self.servos.controls(self.default[self.driven] + offsets)


def _combined(weights: Floats, rows: Floats) -> Floats:
    """``weights @ rows`` of shapes ``(3, 3)`` and ``(*batch, 3, m)``, written out."""
    parts = [weights[:, k, None] * rows[..., k, None, :] for k in range(3)]
    combined: Floats = parts[0] + parts[1] + parts[2]
    return combined
