"""Knobs that break the world's symmetry by a known size, for methods that must find it out."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

KINDS = ("none", "gravity", "wind", "patch", "joint")


@dataclass(frozen=True)
class Breaking:
    """A broken symmetry of the world.

    Attributes:
        kind: ``"none"``; ``"gravity"``: gravity tilts towards +x by ``size`` radians; ``"wind"``: a steady force along
            +x of ``size`` times the weight of the main body; ``"patch"``: the same wind, in one patch of the plane;
            ``"joint"``: a spring at the joint of the first actuator, which needs ``size`` times the actuator's greatest
            torque for each radian.
        size: how much, 0 breaks nothing.
        patch: centre x, y and radius of the patch, m, in coordinates that the task chooses.
    """

    kind: str = "none"
    size: float = 0.0
    patch: tuple[float, float, float] = (2.0, 0.0, 1.5)

    def __post_init__(self) -> None:
        """Refuse unknown kinds and sizes that are not numbers."""
        if self.kind not in KINDS:
            raise ValueError(f"breaking={self.kind!r} is not known; use one of {', '.join(map(repr, KINDS))}")
        if not np.isfinite(self.size) or self.size < 0:
            raise ValueError(f"breaking_size={self.size!r} must be a finite number >= 0")

    def apply_to_model(self, model: mujoco.MjModel) -> None:
        """Tilt the gravity of a compiled model."""
        if self.kind == "gravity":
            g = float(np.linalg.norm(model.opt.gravity))
            model.opt.gravity[:] = g * np.array([np.sin(self.size), 0.0, -np.cos(self.size)])

    def stiffen(self, model: mujoco.MjModel) -> None:
        """Stiffen a joint of a compiled model.

        Raises:
            ValueError: if no joint has an actuator.
        """
        if self.kind != "joint":
            return
        if not model.nu or model.actuator_trntype[0] != mujoco.mjtTrn.mjTRN_JOINT:
            raise ValueError("breaking='joint' needs a robot with actuated joints; use 'gravity' or 'wind'")
        greatest = float(np.abs(model.actuator_gear[0, 0] * model.actuator_ctrlrange[0]).max())
        model.jnt_stiffness[model.actuator_trnid[0, 0]] += self.size * greatest

    def apply_to_floating_model(self, model: mujoco.MjModel, weight: float = 0.0) -> None:
        """The same for a model whose bodies are compensated for upright gravity: they feel the difference.

        Args:
            model: the compiled model.
            weight: what part of their weight is not compensated.
        """
        if self.kind == "gravity":
            g = float(np.linalg.norm(model.opt.gravity))
            model.body_gravcomp[:] = 0.0
            model.opt.gravity[:] = g * np.array([np.sin(self.size), 0.0, 1.0 - weight - np.cos(self.size)])

    @property
    def local(self) -> bool:
        """Whether it depends on where the main body is."""
        return self.kind == "patch"

    def apply_to_forces(
        self, model: mujoco.MjModel, xfrc: NDArray[np.float64], body: int, position: NDArray[np.float64] | None = None
    ) -> None:
        """Write the wind into the external wrenches, shape ``(n, nbody, 6)``.

        Args:
            model: the compiled model.
            xfrc: the wrenches.
            body: index of the main body.
            position: where it is in the coordinates of the patch, shape ``(n, 2)``; a local wind needs it.
        """
        if self.kind in ("wind", "patch"):
            weight = float(model.body_subtreemass[body] * np.linalg.norm(model.opt.gravity))
            force = self.size * (weight if weight > 0 else 9.81 * float(model.body_subtreemass[body]))
            xfrc[:, body, 0] = force if position is None else force * self._blows(position)

    def _blows(self, position: NDArray[np.float64]) -> NDArray[np.bool_]:
        x, y, radius = self.patch
        inside: NDArray[np.bool_] = (position[:, 0] - x) ** 2 + (position[:, 1] - y) ** 2 < radius**2
        return inside
