"""Rendering of single simulations of a batch; imported display code only runs when a frame is asked for."""

from __future__ import annotations

import os
import sys
from typing import Any

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from eqrl.envs.core.simulated import Simulated
from eqrl.envs.core.simulation import Simulation

DEFAULT_SIZE = (480, 360)
_MODES = ("human", "rgb_array")


def check_render_mode(mode: str | None) -> str | None:
    """Refuse an unknown render mode.

    Raises:
        ValueError: naming the mode and what is allowed.
    """
    if mode is not None and mode not in _MODES:
        raise ValueError(f"render_mode={mode!r} is not known; use one of {', '.join(map(repr, _MODES))} or None")
    return mode


def asked_mode(mode: str | None) -> str:
    """The mode that an environment was made with, for its ``render``.

    Raises:
        ValueError: if it was made without one.
    """
    if mode is None:
        raise ValueError(
            "this environment was made without a render_mode; make it with render_mode='rgb_array' or 'human'"
        )
    return mode


class BatchRenderer:
    """Draws one simulation at a time from a tracking camera.

    Args:
        simulation: a batch or a fleet.
        width: pixels.
        height: pixels.
    """

    def __init__(self, simulation: Simulated, width: int, height: int) -> None:
        self._simulation = simulation
        self._size = (int(width), int(height))
        self._of_model: dict[Simulation, _ModelRenderer] = {}

    def frame(self, i: int) -> NDArray[np.uint8]:
        """Frame of simulation ``i``, shape ``(height, width, 3)``, uint8.

        Raises:
            RuntimeError: if no off-screen OpenGL context can be made; the message names the packages to install.
        """
        renderer, k = self._at(i)
        return renderer.frame(k)

    def show(self, i: int) -> None:
        """Update the window with simulation ``i``."""
        renderer, k = self._at(i)
        renderer.show(k)

    def close(self) -> None:
        """Free what was opened."""
        for renderer in self._of_model.values():
            renderer.close()

    def _at(self, i: int) -> tuple[_ModelRenderer, int]:
        batch, k = self._simulation.at(i)
        if batch not in self._of_model:
            self._of_model[batch] = _ModelRenderer(batch, self._size)
        return self._of_model[batch], k


class _ModelRenderer:
    """Draws the simulations of one model."""

    def __init__(self, simulation: Simulation, size: tuple[int, int]) -> None:
        self._simulation = simulation
        self._size = size
        self._renderer: Any = None
        self._viewer: Any = None
        self._data: mujoco.MjData | None = None

    def frame(self, i: int) -> NDArray[np.uint8]:
        data = self._current(i)
        if self._renderer is None:
            self._renderer = self._make()
        camera: int | mujoco.MjvCamera = 0 if self._simulation.task.model.ncam else -1
        self._renderer.update_scene(data, camera)
        self._simulation.task.draw_markers(self._renderer.scene, self._simulation.world[i])
        picture: NDArray[np.uint8] = self._renderer.render()
        return picture.copy()

    def show(self, i: int) -> None:
        from mujoco import viewer

        data = self._current(i)
        if self._viewer is None:
            self._viewer = viewer.launch_passive(self._simulation.task.model, data)
        self._viewer.user_scn.ngeom = 0
        self._simulation.task.draw_markers(self._viewer.user_scn, self._simulation.world[i])
        self._viewer.sync()

    def close(self) -> None:
        for opened in (self._renderer, self._viewer):
            if opened is not None:
                opened.close()
        self._renderer = self._viewer = None

    def _current(self, i: int) -> mujoco.MjData:
        self._data = self._simulation.batch.get_data(i, self._data)
        mujoco.mj_forward(self._simulation.task.model, self._data)
        return self._data

    def _make(self) -> Any:
        try:
            return mujoco.Renderer(self._simulation.task.model, height=self._size[1], width=self._size[0])
        except Exception as error:  # the OpenGL back ends raise what they like
            hint = (
                ""
                if sys.platform != "linux" or os.environ.get("MUJOCO_GL")
                else (
                    "; on a machine without a display set MUJOCO_GL=egl before Python starts and install libegl1 and"
                    " libgl1-mesa-dri"
                )
            )
            raise RuntimeError(f"cannot render: {error}{hint}") from error


def add_marker(
    scene: mujoco.MjvScene,
    position: ArrayLike,
    size: ArrayLike,
    rgba: tuple[float, float, float, float],
    axes: ArrayLike | None = None,
) -> None:
    """Add a sphere, or with ``axes`` a box, to a scene, if it has room.

    Args:
        scene: what is drawn.
        position: of its centre, m.
        size: radius of the sphere, or half widths of the box, m.
        rgba: its colour.
        axes: rotation matrix of the box, ``(3, 3)``.
    """
    if scene.ngeom >= scene.maxgeom:
        return
    mujoco.mjv_initGeom(
        scene.geoms[scene.ngeom],
        mujoco.mjtGeom.mjGEOM_SPHERE if axes is None else mujoco.mjtGeom.mjGEOM_BOX,
        np.broadcast_to(np.asarray(size, dtype=np.float64), 3),
        np.asarray(position, dtype=np.float64),
        np.asarray(np.eye(3) if axes is None else axes, dtype=np.float64).flatten(),
        np.asarray(rgba, dtype=np.float32),
    )
    scene.ngeom += 1
