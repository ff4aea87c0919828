"""Images of bodies, joints and geoms, as matching gave them, and what follows for sites and tendons."""

from __future__ import annotations

from dataclasses import dataclass, field

import mujoco
import numpy as np
from scipy.optimize import linear_sum_assignment

from eqrl.arrays import Floats, Ints
from eqrl.derivation.discrepancy import NONE, Discrepancy
from eqrl.derivation.model_parts import Parts, numbers

_W = numbers(mujoco.mjtWrap)
_NONE = -1


@dataclass
class Images:
    """Images of bodies, joints and geoms, as matching gave them, and what follows for sites and tendons.

    Attributes:
        parts: the model in its reference configuration.
        moved: isometry of every body, ``(nbody, 4, 4)``.
        bodies: image of every body.
        joints: image of every joint.
        signs: sign of every joint.
        geoms: image of every geom, -1 for those that do not collide.
        slack: largest distance between a part and its image.
        R: orthogonal part of the world's isometry, ``(3, 3)``.
        broken: what has no image.
    """

    parts: Parts
    moved: Floats
    bodies: Ints
    joints: Ints
    signs: Floats
    geoms: Ints
    slack: float
    R: Floats
    broken: list[Discrepancy] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.frames = np.linalg.inv(self.parts.poses[self.bodies]) @ self.moved @ self.parts.poses
        self.sites = self._sites()
        self.tendons, self.tendon_signs = self._tendons()

    def no_image(self, kind: str, i: int) -> Discrepancy:
        """What says that a part has no image."""
        return Discrepancy("kinematic", kind, (self.parts.name(kind, i), NONE), (1.0, 0.0), 1.0)

    # ------------------------------------------------------------------ sites and tendons
    def _sites(self) -> Ints:
        out = np.full(self.parts.model.nsite, _NONE, dtype=np.int64)
        for head, sites in self.parts.sites.items():
            others = self.parts.sites[int(self.bodies[head])]
            if not sites or not others:
                continue
            moved = np.stack([self.moved[head] @ self.parts.site_poses[s] for s in sites])
            there = self.parts.site_poses[list(others)]
            gaps = np.linalg.norm(moved[:, None, :3, 3] - there[None, :, :3, 3], axis=-1)
            # coincident sites are told apart by their axes, up to sign
            tilt = 1.0 - np.abs(np.einsum("aij,bij->abj", moved[:, :3, :3], there[:, :3, :3])).min(-1)
            for i, j in zip(*linear_sum_assignment(gaps + 1e-3 * self.slack * tilt), strict=True):
                # where one that matters is elsewhere the comparison says so
                if gaps[i, j] <= self.slack or {sites[i], others[j]} <= self.parts.driven_sites:
                    out[sites[i]] = others[j]
        return out

    def _tendons(self) -> tuple[Ints, Floats]:
        m = self.parts.model
        paths = [self._path(t, moved=False) for t in range(m.ntendon)]
        out, signs = np.full(m.ntendon, _NONE, dtype=np.int64), np.ones(m.ntendon)
        for t in range(m.ntendon):
            moved = self._path(t, moved=True)
            fits = [(k, _same_path(moved, other)) for k, other in enumerate(paths) if k not in out[:t]]
            fits = [(k, sign) for k, sign in fits if sign]
            if not fits:
                self.broken.append(self.no_image("tendon", t))
                out[t] = t
                continue
            # tendons along one path are told apart by their coefficients
            out[t], signs[t] = min(fits, key=lambda fit: self._coefficient_gap(moved, paths[fit[0]], fit[1]))
        return out, signs

    def coefficients(self, tendon: int, moved: bool = False) -> Floats:
        """Coefficients of a fixed tendon in the order of its joints, or of their images."""
        return np.array([weight for kind, _, weight in sorted(self._path(tendon, moved)) if kind == _W.mjWRAP_JOINT])

    @staticmethod
    def _coefficient_gap(a: list[tuple[int, int, float]], b: list[tuple[int, int, float]], sign: float) -> float:
        return float(
            sum(abs(sign * x[2] - y[2]) for x, y in zip(sorted(a), sorted(b), strict=True) if x[0] == _W.mjWRAP_JOINT)
        )

    def _path(self, tendon: int, moved: bool) -> list[tuple[int, int, float]]:
        m = self.parts.model
        start, path = int(m.tendon_adr[tendon]), []
        for w in range(start, start + int(m.tendon_num[tendon])):
            kind, i, weight = int(m.wrap_type[w]), int(m.wrap_objid[w]), float(m.wrap_prm[w])
            if moved and kind == _W.mjWRAP_JOINT:
                weight *= self.signs[i]
                i = int(self.joints[i])
            elif moved and kind == _W.mjWRAP_SITE:
                i = int(self.sites[i])
            elif kind in (_W.mjWRAP_SPHERE, _W.mjWRAP_CYLINDER):
                side = int(weight)  # a site that chooses the side, or -1
                weight = float(self.sites[side]) if moved and side >= 0 else weight
                i = int(self.geoms[i]) if moved else i
            path.append((kind, i, weight))
        return path

    def site_frame(self, site: int) -> Floats:
        """How a site's frame sits in that of its image, ``(4, 4)``."""
        body = self.parts.model.site_bodyid[site]
        image: Floats = (
            np.linalg.inv(self.parts.site_poses[self.sites[site]]) @ self.moved[body] @ self.parts.site_poses[site]
        )
        return image


def _same_path(a: list[tuple[int, int, float]], b: list[tuple[int, int, float]]) -> float:
    """1 or -1 if two tendon paths agree, with -1 for a fixed tendon of opposite sense; else 0."""
    if len(a) != len(b) or not a:
        return 0.0
    if a[0][0] == _W.mjWRAP_JOINT:
        here, there = sorted(a), sorted(b)
        if [x[1] for x in here] != [x[1] for x in there]:
            return 0.0
        return sign_between(np.array([x[2] for x in here]), np.array([x[2] for x in there]))
    # a pulley divides all that follows, so such a path has a direction
    backward = [] if any(x[0] == _W.mjWRAP_PULLEY for x in a) else b[::-1]
    return 1.0 if a in (b, backward) else 0.0


def sign_between(x: Floats, y: Floats) -> float:
    """1 or -1 if two vectors have the same or opposite direction, else 0."""
    nx, ny = np.linalg.norm(x), np.linalg.norm(y)
    if nx < 1e-12 or ny < 1e-12:
        return 1.0 if nx < 1e-12 and ny < 1e-12 else 0.0
    cosine = float(x @ y / (nx * ny))
    return float(np.sign(cosine)) if abs(cosine) > 1 - 1e-3 else 0.0
