"""Images of what connects parts: sites, tendons, actuators, equality constraints, exclusions, pairs.

Each is found through the parts that it refers to. What has no image breaks the symmetry and becomes a discrepancy.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import mujoco
import numpy as np
from scipy.optimize import linear_sum_assignment

from eqrl.symmetry.morphology.discrepancy import NONE, Discrepancy
from eqrl.symmetry.morphology.parts import BALL, FREE, Parts, numbers
from eqrl.symmetry.morphology.symmetry import Floats, Ints, rotations

_T, _W, _E, _O = (numbers(e) for e in (mujoco.mjtTrn, mujoco.mjtWrap, mujoco.mjtEq, mujoco.mjtObj))
_MUSCLE = int(mujoco.mjtGain.mjGAIN_MUSCLE)
_NONE = -1
_FIT = 1e-3


@dataclass
class Relations:
    """Images of bodies, joints and geoms, as matching gave them, and what follows for the rest.

    Attributes:
        parts: the model in its reference configuration.
        moved: isometry of every body, ``(nbody, 4, 4)``.
        bodies: image of every body.
        joints: image of every joint.
        signs: sign of every joint.
        geoms: image of every geom, -1 for those that do not collide.
        broken: what has no image.
    """

    parts: Parts
    moved: Floats
    bodies: Ints
    joints: Ints
    signs: Floats
    geoms: Ints
    slack: float
    broken: list[Discrepancy] = field(default_factory=list)

    def __post_init__(self) -> None:
        m = self.parts.model
        self.frames = np.linalg.inv(self.parts.poses[self.bodies]) @ self.moved @ self.parts.poses
        self.sites = self._sites()
        self.tendons, self.tendon_signs = self._tendons()
        self.actuators, self.ctrl_signs = self._actuators()
        self._equalities()
        self._exclusions()
        self.ctrl_offsets = np.array([self._offset(k) for k in range(m.nu)])

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
            mine = self._path(t, moved=True)
            fits = [(k, _same_path(mine, other)) for k, other in enumerate(paths) if k not in out[:t]]
            fits = [(k, sign) for k, sign in fits if sign]
            if not fits:
                self._no_image("tendon", t)
                out[t] = t
                continue
            # tendons along one path are told apart by their coefficients
            out[t], signs[t] = min(fits, key=lambda fit: self._coefficient_gap(mine, paths[fit[0]], fit[1]))
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

    # ------------------------------------------------------------------ actuators
    def _actuators(self) -> tuple[Ints, Floats]:
        m = self.parts.model
        costs, signs = np.full((m.nu, m.nu), 1e6), np.ones((m.nu, m.nu))
        for i in range(m.nu):
            for j in range(m.nu):
                sign = self._transmits(i, j)
                if not sign:
                    continue
                pushes_only = m.actuator_gaintype[i] == _MUSCLE and sign < 0
                low, high = np.sort(sign * m.actuator_ctrlrange[i])
                unlike = abs(low - m.actuator_ctrlrange[j][0]) + abs(high - m.actuator_ctrlrange[j][1])
                unlike += np.abs(m.actuator_gainprm[i] - m.actuator_gainprm[j]).sum()
                unlike += 10.0 * (m.actuator_biastype[i] != m.actuator_biastype[j]) + 100.0 * pushes_only
                costs[i, j], signs[i, j] = min(unlike, 1e5), sign
        out = np.arange(m.nu)
        if m.nu:
            rows, columns = linear_sum_assignment(costs)
            out[rows] = columns
            for i, j in zip(rows, columns, strict=True):
                if costs[i, j] >= 1e6:
                    self._no_image("actuator", int(i))
        return out, signs[np.arange(m.nu), out]

    def _transmits(self, i: int, j: int) -> float:
        """Sign with which actuator ``j`` plays the part of actuator ``i`` after the symmetry; 0 if it does not."""
        m = self.parts.model
        kind = m.actuator_trntype[i]
        if kind != m.actuator_trntype[j]:
            return 0.0
        a, b = m.actuator_trnid[i], m.actuator_trnid[j]
        g, h = m.actuator_gear[i], m.actuator_gear[j]
        if kind in (_T.mjTRN_JOINT, _T.mjTRN_JOINTINPARENT):
            if self.joints[a[0]] != b[0] or m.jnt_type[a[0]] == FREE:
                return 0.0
            if m.jnt_type[a[0]] == BALL:
                own = self.frames[m.jnt_bodyid[a[0]], :3, :3]
                return _sign_between(np.linalg.det(own) * own @ g[:3], h[:3])
            return float(self.signs[a[0]] * _sign(g[0]) * _sign(h[0]))
        if kind == _T.mjTRN_TENDON:
            return float(self.tendon_signs[a[0]] * _sign(g[0]) * _sign(h[0])) if self.tendons[a[0]] == b[0] else 0.0
        if kind == _T.mjTRN_BODY:
            return 1.0 if self.bodies[a[0]] == b[0] else 0.0
        if kind == _T.mjTRN_SITE:
            if self.sites[a[0]] != b[0] or (a[1] >= 0) != (b[1] >= 0) or (a[1] >= 0 and self.sites[a[1]] != b[1]):
                return 0.0
            own = self.site_frame(int(a[0]))[:3, :3]
            force, torque = own @ g[:3], np.linalg.det(own) * own @ g[3:]
            # each by itself: the torque of a propeller is small beside its thrust, but has to turn the right way
            along = [_sign_between(x, y) for x, y in ((force, h[:3]), (torque, h[3:])) if x.any() or y.any()]
            return along[0] if along and len(set(along)) == 1 else 0.0
        if kind == _T.mjTRN_SLIDERCRANK:
            return 1.0 if self.sites[a[0]] == b[0] and self.sites[a[1]] == b[1] else 0.0
        return 1.0 if i == j else 0.0

    def site_frame(self, site: int) -> Floats:
        """How a site's frame sits in that of its image, ``(4, 4)``."""
        body = self.parts.model.site_bodyid[site]
        image: Floats = np.linalg.inv(self.parts.site_poses[self.sites[site]]) @ self.moved[body] @ self.parts.site_poses[site]
        return image

    def _offset(self, k: int) -> float:
        """What a position servo's control needs in addition, where joints do not measure from zero.

        With force ``g u + b1 length`` and length ``gear (ref + ...)``, the image's length is ``sign length + c``.
        """
        m = self.parts.model
        if m.actuator_biasprm[k][1] == 0.0 or m.actuator_gainprm[k][0] == 0.0:
            return 0.0
        return float(-m.actuator_biasprm[k][1] * self.length_shift(k) / m.actuator_gainprm[k][0])

    def length_shift(self, k: int) -> float:
        """The constant c in ``sign length + c``, the length of the image of an actuator on a hinge, slide or fixed tendon."""
        m = self.parts.model
        thing, image = int(m.actuator_trnid[k][0]), int(self.actuators[k])
        kind = m.actuator_trntype[k]
        if kind == _T.mjTRN_TENDON:
            here, there = (self.parts.fixed_length(int(t)) for t in (thing, self.tendons[thing]))
        elif kind in (_T.mjTRN_JOINT, _T.mjTRN_JOINTINPARENT) and m.jnt_type[thing] not in (FREE, BALL):
            here, there = (float(self.parts.reference[m.jnt_qposadr[j]]) for j in (thing, self.joints[thing]))
        else:
            return 0.0
        return float(m.actuator_gear[image][0] * there - self.ctrl_signs[k] * m.actuator_gear[k][0] * here)

    # ------------------------------------------------------------------ constraints
    def _equalities(self) -> None:
        m = self.parts.model
        for e in range(m.neq):
            image = next((k for k in range(m.neq) if self._equal(e, k, False) or self._equal(e, k, True)), None)
            if image is None:
                self._no_image("equality", e)
                continue
            of = (self.parts.name("equality", e), self.parts.name("equality", image))
            for name in ("solref", "solimp"):
                x, y = getattr(m, f"eq_{name}")[[e, image]]
                gap = float(np.abs(x - y).max() / max(np.abs(x).max(), np.abs(y).max(), 1e-12))
                if gap > 0.0:
                    self.broken.append(Discrepancy("dynamic", name, of, (tuple(x.tolist()), tuple(y.tolist())), gap))

    def _equal(self, e: int, k: int, swapped: bool) -> bool:
        """Whether constraint ``k`` is the image of constraint ``e``, perhaps with its two things in the other order."""
        m = self.parts.model
        if m.eq_type[e] != m.eq_type[k] or m.eq_objtype[e] != m.eq_objtype[k] or m.eq_active0[e] != m.eq_active0[k]:
            return False
        images = {_O.mjOBJ_BODY: self.bodies, _O.mjOBJ_SITE: self.sites}
        kind, x, y = m.eq_type[e], m.eq_data[e], m.eq_data[k]
        a, b, c, d = m.eq_obj1id[e], m.eq_obj2id[e], m.eq_obj1id[k], m.eq_obj2id[k]
        if swapped:
            y = _swapped(int(kind), int(m.eq_objtype[e]), y)
            if y is None or d < 0:
                return False
            c, d = d, c
        if kind in (_E.mjEQ_CONNECT, _E.mjEQ_WELD):
            image = images.get(int(m.eq_objtype[e]))
            if image is None or image[a] != c or image[b] != d:
                return False
            if m.eq_objtype[e] == _O.mjOBJ_SITE:
                return True
            f, g, near = self.frames[a], self.frames[b], _FIT * self.parts.size
            if kind == _E.mjEQ_CONNECT:
                ends = ((f, x[:3], y[:3]), (g, x[3:6], y[3:6]))
                return all(np.allclose(h[:3, :3] @ p + h[:3, 3], q, atol=near) for h, p, q in ends)
            anchor = np.allclose(g[:3, :3] @ x[:3] + g[:3, 3], y[:3], atol=near)
            pose = f @ _relative_pose(x) @ np.linalg.inv(g)
            held = _relative_pose(y)
            pose_fits = np.allclose(pose[:3, :3], held[:3, :3], atol=_FIT) and np.allclose(pose[:3, 3], held[:3, 3], atol=near)
            return bool(anchor and pose_fits and np.isclose(x[10], y[10], rtol=_FIT))
        if kind in (_E.mjEQ_JOINT, _E.mjEQ_TENDON):
            image, signs = (self.joints, self.signs) if kind == _E.mjEQ_JOINT else (self.tendons, self.tendon_signs)
            if image[a] != c or (b >= 0) != (d >= 0) or (b >= 0 and image[b] != d):
                return False
            outer, inner = signs[a], signs[b] if b >= 0 else 1.0
            return bool(np.allclose(outer * x[:5] * inner ** np.arange(5), y[:5], rtol=_FIT, atol=_FIT * 1e-3))
        return e == k

    def _exclusions(self) -> None:
        m = self.parts.model
        pairs = {frozenset((int(x) >> 16, int(x) & 0xFFFF)) for x in m.exclude_signature}
        for bodies in pairs:
            if frozenset(int(self.bodies[b]) for b in bodies) not in pairs:
                name = "-".join(self.parts.body_name(b) for b in sorted(bodies))
                self.broken.append(Discrepancy("kinematic", "exclude", (name, NONE), (1.0, 0.0), 1.0))
        numbers_of = {tuple(sorted((int(m.pair_geom1[p]), int(m.pair_geom2[p])))): p for p in range(m.npair)}
        for (a, b), p in numbers_of.items():
            image = tuple(sorted((int(self.geoms[a]), int(self.geoms[b]))))
            of = (self.parts.name("geom", image[0]), self.parts.name("geom", image[1]))
            if image not in numbers_of:
                name = "-".join(self.parts.name("geom", g) for g in (a, b))
                self.broken.append(Discrepancy("kinematic", "pair", (name, NONE), (1.0, 0.0), 1.0))
                continue
            q = numbers_of[image]
            for name in ("friction", "dim", "solref", "solimp", "margin", "gap", "solreffriction"):
                x, y = (np.atleast_1d(getattr(m, f"pair_{name}")[k]).astype(float) for k in (p, q))
                gap = float(np.abs(x - y).max() / max(np.abs(x).max(), np.abs(y).max(), 1e-12))
                if gap > 0.0:
                    values = (tuple(x.tolist()), tuple(y.tolist()))
                    pair = ("pair " + "-".join(self.parts.name("geom", g) for g in (a, b)), "pair " + "-".join(of))
                    self.broken.append(Discrepancy("dynamic", name, pair, values, gap))

    def _no_image(self, kind: str, i: int) -> None:
        self.broken.append(Discrepancy("kinematic", kind, (self.parts.name(kind, i), NONE), (1.0, 0.0), 1.0))


def _same_path(a: list[tuple[int, int, float]], b: list[tuple[int, int, float]]) -> float:
    """1 or -1 if two tendon paths agree, with -1 for a fixed tendon of opposite sense; else 0."""
    if len(a) != len(b) or not a:
        return 0.0
    if a[0][0] == _W.mjWRAP_JOINT:
        here, there = sorted(a), sorted(b)
        if [x[1] for x in here] != [x[1] for x in there]:
            return 0.0
        return _sign_between(np.array([x[2] for x in here]), np.array([x[2] for x in there]))
    # a pulley divides all that follows, so such a path has a direction
    backward = [] if any(x[0] == _W.mjWRAP_PULLEY for x in a) else b[::-1]
    return 1.0 if a in (b, backward) else 0.0


def _relative_pose(data: Floats) -> Floats:
    """Pose of the second body in the first one that a weld holds, ``(4, 4)``."""
    out = np.eye(4)
    out[:3, :3] = rotations(np.asarray(data[6:10]))
    out[:3, 3] = data[3:6]
    return out


def _swapped(kind: int, objects: int, data: Floats) -> Floats | None:
    """Data of the same constraint with its two things in the other order; None where that is another constraint."""
    out = np.array(data)
    if objects == _O.mjOBJ_SITE:
        return out
    if kind == _E.mjEQ_CONNECT:
        out[:3], out[3:6] = data[3:6], data[:3]
        return out
    if kind == _E.mjEQ_WELD:
        pose = _relative_pose(data)
        back = np.linalg.inv(pose)
        out[:3] = pose[:3, :3] @ data[:3] + pose[:3, 3]
        out[3:6], out[6:10] = back[:3, 3], data[6:10] * np.array([1.0, -1.0, -1.0, -1.0])
        return out
    # y = c + k x, for then x = -c / k + y / k; only a slope of one also weighs the error the same
    if abs(abs(data[1]) - 1.0) > _FIT or np.any(data[2:5]):
        return None
    out[0] = -data[0] / data[1]
    return out


def _sign_between(x: Floats, y: Floats) -> float:
    """1 or -1 if two vectors have the same or opposite direction, else 0."""
    nx, ny = np.linalg.norm(x), np.linalg.norm(y)
    if nx < 1e-12 or ny < 1e-12:
        return 1.0 if nx < 1e-12 and ny < 1e-12 else 0.0
    cosine = float(x @ y / (nx * ny))
    return float(np.sign(cosine)) if abs(cosine) > 1 - 1e-3 else 0.0


def _sign(x: float) -> float:
    return -1.0 if x < 0 else 1.0
