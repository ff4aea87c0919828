"""A model in its reference configuration.

Where every part is, which bodies form one rigid piece, and how they branch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import mujoco
import numpy as np
from numpy.typing import ArrayLike

from eqrl.arrays import Floats, Ints
from eqrl.derivation.discrepancy import NONE


def numbers(enumeration: Any) -> SimpleNamespace:
    """MuJoCo's constants as integers.

    NumPy's integers equal its enumerations, but are not found ``in`` a tuple of them.
    """
    return SimpleNamespace(**{name: int(value) for name, value in enumeration.__members__.items()})


_WRAPPED = (int(mujoco.mjtWrap.mjWRAP_SPHERE), int(mujoco.mjtWrap.mjWRAP_CYLINDER))
FREE, BALL, SLIDE, HINGE = (int(getattr(mujoco.mjtJoint, f"mjJNT_{n}")) for n in ("FREE", "BALL", "SLIDE", "HINGE"))
_JOINT_WRAP, _SITE_WRAP = int(mujoco.mjtWrap.mjWRAP_JOINT), int(mujoco.mjtWrap.mjWRAP_SITE)
_SITE_DRIVES = (int(mujoco.mjtTrn.mjTRN_SITE), int(mujoco.mjtTrn.mjTRN_SLIDERCRANK))
_BODY, _SITE = int(mujoco.mjtObj.mjOBJ_BODY), int(mujoco.mjtObj.mjOBJ_SITE)
_COUPLES_JOINTS, _COUPLES_TENDONS = int(mujoco.mjtEq.mjEQ_JOINT), int(mujoco.mjtEq.mjEQ_TENDON)
_ON_BODIES = {"geom": "geom", "joint": "jnt", "site": "site"}
PLANE, HFIELD = int(mujoco.mjtGeom.mjGEOM_PLANE), int(mujoco.mjtGeom.mjGEOM_HFIELD)


@dataclass(frozen=True, eq=False)
class Parts:
    """Everything that a symmetry has to map, in world coordinates.

    A *piece* is a body with joints together with all that is welded to it; the world is piece 0. Pieces are named by
    their head body.

    Attributes:
        model: the compiled model.
        data: its data after forward kinematics at the reference configuration.
        reference: that configuration, ``(nq,)``.
        ignoring: geoms that are taken not to collide.
    """

    model: mujoco.MjModel
    data: mujoco.MjData
    reference: Floats
    ignoring: frozenset[int] = frozenset()

    @classmethod
    def of(
        cls, model: mujoco.MjModel, reference: ArrayLike | None = None, ignoring: frozenset[int] = frozenset()
    ) -> Parts:
        """Forward kinematics at a configuration, by default ``qpos0``."""
        data = mujoco.MjData(model)
        if reference is not None:
            data.qpos[:] = reference
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        return cls(model, data, np.array(data.qpos), ignoring)

    @cached_property
    def poses(self) -> Floats:
        """Poses of all bodies, ``(nbody, 4, 4)``."""
        return _poses(self.data.xpos, self.data.xmat)

    @cached_property
    def site_poses(self) -> Floats:
        """Poses of all sites, ``(nsite, 4, 4)``."""
        return _poses(self.data.site_xpos, self.data.site_xmat)

    @cached_property
    def geom_poses(self) -> Floats:
        """Poses of all geoms, ``(ngeom, 4, 4)``."""
        return _poses(self.data.geom_xpos, self.data.geom_xmat)

    @cached_property
    def heads(self) -> tuple[int, ...]:
        """Head bodies of all pieces, the world first."""
        return tuple(int(b) for b in np.flatnonzero(self.model.body_weldid == np.arange(self.model.nbody)))

    @cached_property
    def members(self) -> dict[int, tuple[int, ...]]:
        """Bodies of every piece, its head first."""
        return {h: tuple(int(b) for b in np.flatnonzero(self.model.body_weldid == h)) for h in self.heads}

    @cached_property
    def children(self) -> dict[int, tuple[int, ...]]:
        """Pieces that hang on every piece; those that float freely hang on nothing."""
        out: dict[int, list[int]] = {h: [] for h in self.heads}
        for h in self.heads[1:]:
            if not self.floats(h):
                out[int(self.model.body_weldid[self.model.body_parentid[h]])].append(h)
        return {h: tuple(c) for h, c in out.items()}

    @cached_property
    def floating(self) -> tuple[int, ...]:
        """Heads of the pieces with a free joint, the roots of floating trees."""
        return tuple(h for h in self.heads[1:] if self.floats(h))

    def floats(self, head: int) -> bool:
        """Whether a piece has a free joint."""
        m = self.model
        return bool(m.body_jntnum[head] and m.jnt_type[m.body_jntadr[head]] == FREE)

    def joints(self, head: int) -> range:
        """Joints of a piece."""
        start = int(self.model.body_jntadr[head])
        return range(start, start + int(self.model.body_jntnum[head]))

    @cached_property
    def colliding(self) -> Ints:
        """Geoms that can collide, by their own bits or by an explicit pair, and those that tendons wrap around."""
        m = self.model
        touches = (m.geom_contype != 0) | (m.geom_conaffinity != 0)
        touches[m.pair_geom1] = True
        touches[m.pair_geom2] = True
        touches[m.wrap_objid[np.isin(m.wrap_type, _WRAPPED)]] = True
        touches[list(self.ignoring)] = False
        return np.flatnonzero(touches)

    @cached_property
    def geoms(self) -> dict[int, tuple[int, ...]]:
        """Colliding geoms of every piece."""
        piece = self.model.body_weldid[self.model.geom_bodyid]
        return {h: tuple(int(g) for g in self.colliding if piece[g] == h) for h in self.heads}

    @cached_property
    def sites(self) -> dict[int, tuple[int, ...]]:
        """Sites of every piece."""
        piece = self.model.body_weldid[self.model.site_bodyid]
        return {h: tuple(int(s) for s in np.flatnonzero(piece == h)) for h in self.heads}

    @cached_property
    def trees(self) -> dict[int, tuple[int, ...]]:
        """Pieces of every tree: of the floating ones by their root, of all that is fixed to the world by 0."""
        out = {}
        for root in (0, *self.floating):
            pieces, todo = [], [root]
            while todo:
                head = todo.pop(0)
                pieces.append(head)
                todo += self.children[head]
            out[root] = tuple(pieces)
        return out

    def fixed_length(self, tendon: int) -> float:
        """Length of a fixed tendon at the reference; 0 for spatial ones, whose length no symmetry changes."""
        m = self.model
        wraps = slice(int(m.tendon_adr[tendon]), int(m.tendon_adr[tendon]) + int(m.tendon_num[tendon]))
        if m.wrap_type[wraps.start] != _JOINT_WRAP:
            return 0.0
        return float(m.wrap_prm[wraps] @ self.reference[m.jnt_qposadr[m.wrap_objid[wraps]]])

    @cached_property
    def driven_sites(self) -> frozenset[int]:
        """Sites that tendons run through, actuators push or equality constraints hold."""
        m = self.model
        on_sites = np.isin(m.actuator_trntype, _SITE_DRIVES)
        driven = {*m.wrap_objid[m.wrap_type == _SITE_WRAP].tolist(), *m.actuator_trnid[on_sites].ravel().tolist()}
        for e in np.flatnonzero(m.eq_objtype == _SITE):
            driven |= {int(m.eq_obj1id[e]), int(m.eq_obj2id[e])}
        return frozenset(int(s) for s in driven if s >= 0)

    @cached_property
    def tied(self) -> frozenset[int]:
        """Bodies that active equality constraints or spatial tendons refer to."""
        m = self.model
        out: set[int] = set()
        for e in np.flatnonzero(m.eq_active0):
            things = [int(m.eq_obj1id[e]), int(m.eq_obj2id[e])]
            if m.eq_objtype[e] == _BODY:
                out |= set(things)
            elif m.eq_objtype[e] == _SITE:
                out |= {int(m.site_bodyid[s]) for s in things}
        for kind, thing in zip(m.wrap_type, m.wrap_objid, strict=True):
            if kind == _SITE_WRAP:
                out.add(int(m.site_bodyid[thing]))
            elif kind in _WRAPPED:
                out.add(int(m.geom_bodyid[thing]))
        reference = m.actuator_trnid[(m.actuator_trntype == _SITE_DRIVES[0]) & (m.actuator_trnid[:, 1] >= 0), 1]
        out |= {int(m.site_bodyid[s]) for s in reference}
        return frozenset(out)

    @cached_property
    def held_together(self) -> tuple[tuple[int, ...], ...]:
        """Bodies that every active equality constraint, every tendon and every element of a flex refers to."""
        m = self.model
        on_tendon: list[tuple[int, ...]] = []
        for t in range(m.ntendon):
            wraps = range(int(m.tendon_adr[t]), int(m.tendon_adr[t]) + int(m.tendon_num[t]))
            owners = {_JOINT_WRAP: m.jnt_bodyid, _SITE_WRAP: m.site_bodyid, **dict.fromkeys(_WRAPPED, m.geom_bodyid)}
            on_tendon.append(
                tuple(int(owners[k][m.wrap_objid[w]]) for w in wraps if (k := int(m.wrap_type[w])) in owners)
            )
        out = list(on_tendon)
        for e in np.flatnonzero(m.eq_active0):
            things = [int(t) for t in (m.eq_obj1id[e], m.eq_obj2id[e]) if t >= 0]
            if m.eq_type[e] == _COUPLES_TENDONS:
                out.append(tuple(b for t in things for b in on_tendon[t]))
            elif m.eq_type[e] == _COUPLES_JOINTS:
                out.append(tuple(int(m.jnt_bodyid[t]) for t in things))
            elif m.eq_objtype[e] in (_BODY, _SITE):
                out.append(tuple(int(m.site_bodyid[t]) if m.eq_objtype[e] == _SITE else t for t in things))
        for f in range(m.nflex):
            size, start, vertex = int(m.flex_dim[f]) + 1, int(m.flex_elemdataadr[f]), int(m.flex_vertadr[f])
            rows = m.flex_elem[start : start + size * int(m.flex_elemnum[f])].reshape(-1, size)
            owners = m.flex_vertbodyid[vertex:]
            out += [tuple(int(owners[v]) for v in row) for row in rows if (owners[row] >= 0).all()]
        return tuple(out)

    @cached_property
    def inertials(self) -> dict[int, tuple[float, Floats, Floats]]:
        """Mass, centre of mass and inertia about it of every piece, in world axes."""
        m, d = self.model, self.data
        out = {}
        for head, bodies in self.members.items():
            mass = float(m.body_mass[list(bodies)].sum())
            weights = m.body_mass[list(bodies)] / max(mass, 1e-300)
            centre = weights @ d.xipos[list(bodies)] if mass > 0 else d.xpos[head].copy()
            inertia = np.zeros((3, 3))
            for b in bodies:
                axes, arm = d.ximat[b].reshape(3, 3), d.xipos[b] - centre
                inertia += axes @ np.diag(m.body_inertia[b]) @ axes.T
                inertia += m.body_mass[b] * (arm @ arm * np.eye(3) - np.outer(arm, arm))
            out[head] = (mass, centre, inertia)
        return out

    @cached_property
    def size(self) -> float:
        """Length scale of what moves: the largest distance from its middle, at least a millimetre."""
        points = [self.data.xanchor, self.data.xipos[self.model.body_weldid != 0]]
        finite = [g for g in self.colliding if self.model.geom_type[g] not in (PLANE, HFIELD)]
        moving = [g for g in finite if self.model.body_weldid[self.model.geom_bodyid[g]] != 0]
        points.append(self.data.geom_xpos[moving])
        cloud = np.concatenate(points) if self.model.njnt else np.zeros((1, 3))
        reach = float(np.linalg.norm(cloud - cloud.mean(0), axis=1).max()) if len(cloud) else 0.0
        bound = float(self.model.geom_rbound[moving].max()) if moving else 0.0
        return max(reach, bound, 1e-3)

    def name(self, kind: str, i: int) -> str:
        """Name of a part; without one, its kind and number, or its body's name and its number there."""
        if i < 0:
            return NONE
        if name := str(getattr(self.model, kind)(i).name):
            return name
        if kind not in _ON_BODIES:
            return f"{kind}{i}"
        body = int(getattr(self.model, f"{_ON_BODIES[kind]}_bodyid")[i])
        first = int(np.flatnonzero(getattr(self.model, f"{_ON_BODIES[kind]}_bodyid") == body)[0])
        return f"{self.body_name(body)} {kind}{i - first}"

    def body_name(self, i: int) -> str:
        """Name of a body."""
        return self.name("body", i)


def _poses(position: ArrayLike, matrix: ArrayLike) -> Floats:
    p, m = np.asarray(position), np.asarray(matrix)
    out = np.tile(np.eye(4), (len(p), 1, 1))
    out[:, :3, :3] = m.reshape(-1, 3, 3)
    out[:, :3, 3] = p
    return out
