"""What is drawn besides the model: goals, and a second agent as a ghost. And from where it is seen."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import mujoco
import numpy as np

from eqrl.arrays import Floats
from eqrl.watching.status import BOTH, STATE

if TYPE_CHECKING:
    from eqrl.watching.session import Session

_GHOST = (0.82, 0.29, 0.36, 0.45)
_MOST_GEOMS = 1000  # MuJoCo Studio shows 1024
_FOLLOWS = (int(mujoco.mjtCamLight.mjCAMLIGHT_TRACK), int(mujoco.mjtCamLight.mjCAMLIGHT_TRACKCOM))


class Drawing:
    """Geoms besides those of the model.

    Args:
        session: whose agents are drawn.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._data = mujoco.MjData(session.model)
        self._scene = mujoco.MjvScene(session.model, maxgeom=_MOST_GEOMS)
        self._option, self._camera = mujoco.MjvOption(), mujoco.MjvCamera()

    def geoms(self, states: tuple[Floats, ...]) -> list[mujoco.MjvGeom]:
        """The goal, and the second agent's bodies if both agents are shown.

        Args:
            states: integration states of the agents.
        """
        self._scene.ngeom = 0
        if self._session.shown == BOTH and len(states) > 1:
            self._ghost(states[1])
        shown = max(self._session.shown, 0)
        self._session.players[shown].physics.draw(self._scene)
        return [copy.copy(geom) for geom in self._scene.geoms[: self._scene.ngeom]]

    def _ghost(self, state: Floats) -> None:
        model = self._session.model
        mujoco.mj_setState(model, self._data, state, STATE)
        mujoco.mj_kinematics(model, self._data)
        moving = int(mujoco.mjtCatBit.mjCAT_DYNAMIC)
        mujoco.mjv_updateScene(model, self._data, self._option, None, self._camera, moving, self._scene)
        for geom in self._scene.geoms[: self._scene.ngeom]:
            geom.rgba[:] = _GHOST
            geom.matid = -1


def aim(camera: mujoco.MjvCamera, model: mujoco.MjModel, data: mujoco.MjData) -> None:
    """Look as the model's first camera does, so that the mouse starts from there; it follows a robot that walks away.

    Args:
        camera: a free or tracking camera afterwards.
        model: the model.
        data: its data, with positions of bodies and cameras.
    """
    mujoco.mjv_defaultFreeCamera(model, camera)
    if not model.ncam:
        return
    position, forward = data.cam_xpos[0], -data.cam_xmat[0].reshape(3, 3)[:, 2]
    camera.azimuth = np.rad2deg(np.arctan2(forward[1], forward[0]))
    camera.elevation = np.rad2deg(np.arcsin(np.clip(forward[2], -1.0, 1.0)))
    if int(model.cam_mode[0]) in _FOLLOWS:
        camera.type = int(mujoco.mjtCamera.mjCAMERA_TRACKING)
        camera.trackbodyid = int(model.cam_bodyid[0])
        distance = float(np.linalg.norm(position - data.xpos[camera.trackbodyid]))
    else:  # what it looks at lies about on the ground
        distance = float(-position[2] / forward[2]) if forward[2] < -0.1 else float(model.stat.extent)
        camera.lookat[:] = position + distance * forward
    angles = np.deg2rad([float(model.cam_fovy[0]), float(model.vis.global_.fovy)])
    camera.distance = distance * np.tan(angles[0] / 2.0) / np.tan(angles[1] / 2.0)
