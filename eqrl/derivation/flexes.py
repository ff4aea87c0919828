"""Images of flexible bodies: vertices go where their bodies go, and elements have to go to elements."""

from __future__ import annotations

from collections.abc import Iterator

import mujoco
import numpy as np

from eqrl.arrays import Floats
from eqrl.derivation.discrepancy import NONE, Discrepancy
from eqrl.derivation.images import Images

_MATERIAL = (
    "dim", "radius", "contype", "conaffinity", "condim", "priority", "friction", "solmix", "solref", "solimp",
    "margin", "gap",
    "edgestiffness", "edgedamping", "damping", "edgeequality", "selfcollide", "activelayers", "passive",
)  # fmt: skip


def flexes(r: Images) -> Iterator[Discrepancy]:
    """Flexible bodies without an image, and attributes in which they differ from theirs."""
    m = r.parts.model
    elements = [_elements(r, f, None) for f in range(m.nflex)]
    for f in range(m.nflex):
        images = _images(r, f)
        name = _name(r, f)
        mapped = None if images is None else _elements(r, f, images)
        image = next((k for k in range(m.nflex) if mapped is not None and elements[k] == mapped), None)
        if image is None:
            yield Discrepancy("kinematic", "flex", (name, NONE), (1.0, 0.0), 1.0)
            continue
        for attribute in _MATERIAL:
            here, there = (np.atleast_1d(getattr(m, f"flex_{attribute}")[k]).astype(float) for k in (f, image))
            size = max(np.abs(here).max(), np.abs(there).max(), 1e-12)
            if gap := float(np.abs(here - there).max() / size):
                values = (tuple(here.tolist()), tuple(there.tolist()))
                yield Discrepancy("dynamic", attribute, (name, _name(r, image)), values, gap)


def _name(r: Images, f: int) -> str:
    return mujoco.mj_id2name(r.parts.model, mujoco.mjtObj.mjOBJ_FLEX, f) or f"flex{f}"


def _elements(r: Images, f: int, images: dict[int, int] | None) -> frozenset[frozenset[int]]:
    """Elements of a flex as sets of vertices, or of their images."""
    m = r.parts.model
    size, start, vertex = int(m.flex_dim[f]) + 1, int(m.flex_elemdataadr[f]), int(m.flex_vertadr[f])
    table = vertex + m.flex_elem[start : start + size * int(m.flex_elemnum[f])].reshape(-1, size)
    return frozenset(frozenset(int(v) if images is None else images[int(v)] for v in row) for row in table)


def _images(r: Images, f: int) -> dict[int, int] | None:
    """Image of every vertex of a flex; None if one has none."""
    m = r.parts.model
    vertices = range(int(m.flex_vertadr[f]), int(m.flex_vertadr[f]) + int(m.flex_vertnum[f]))
    bodies = m.flex_vertbodyid
    if m.flex_interp[f]:  # its vertices follow some nodes
        nodes = slice(int(m.flex_nodeadr[f]), int(m.flex_nodeadr[f]) + int(m.flex_nodenum[f]))
        still = (r.bodies[m.flex_nodebodyid[nodes]] == m.flex_nodebodyid[nodes]).all()
        return {v: v for v in vertices} if still else None
    out: dict[int, int] = {}
    for v in vertices:
        image = int(r.bodies[bodies[v]])
        there = np.flatnonzero(bodies == image)
        moved = r.moved[bodies[v]] @ _position(r, v)
        gaps = [float(np.linalg.norm((moved - _position(r, int(k)))[:3])) for k in there]
        if not gaps or min(gaps) > r.slack:
            return None
        out[v] = int(there[int(np.argmin(gaps))])
    return out


def _position(r: Images, vertex: int) -> Floats:
    """Where a vertex is at the reference, in homogeneous coordinates."""
    m = r.parts.model
    position: Floats = r.parts.poses[m.flex_vertbodyid[vertex]] @ np.append(m.flex_vert[vertex], 1.0)
    return position
