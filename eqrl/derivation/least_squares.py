"""Sharpen the isometry of a match: least squares over all that was matched, or the plain one next to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from eqrl.arrays import Floats
from eqrl.derivation.candidates import AXIAL
from eqrl.derivation.matching import Match
from eqrl.derivation.model_parts import BALL, FREE, SLIDE, Parts
from eqrl.derivation.shapes import Shapes

_EXACT = 1e-9
# What is meant is preferred if it fits within this, relative to the size of the model.
_MEANT = 1e-3


def refined(parts: Parts, shapes: Shapes, match: Match) -> Match:
    """The same images under the isometry that fits them best.

    Real models are not symmetric to the last digit, and an isometry through three of their points is off by as much as
    these. Preferred is the mirror or rotation along the axes of the root's frame or the world's that is close, if it
    fits nearly as well: it is what people mean.
    """
    here, there = _pairs(parts, shapes, match)
    if not len(here):
        return match
    plain = _residual(match.G, here, there)
    if plain <= _EXACT * parts.size:
        return replace(match, cost=plain)
    fitted = procrustes(here, there, np.linalg.det(match.G[:3, :3]))
    choices = [match.G, fitted]
    if 0 in match.pieces:  # gravity does not bend to the points
        choices = [_kept_upright(G, here, there) for G in choices]
    best = min(choices, key=lambda G: _residual(G, here, there))
    least = _residual(best, here, there)
    if least > _MEANT * parts.size:  # not all fits, so what most agree on is meant, and the rest is wrong
        agreed = settled(match.G, here, there, parts.size)
        if 0 in match.pieces:
            agreed = _kept_upright(agreed, here, there)
        if np.median(np.linalg.norm(here @ agreed[:3, :3].T + agreed[:3, 3] - there, axis=1)) <= _EXACT * parts.size:
            return replace(match, G=agreed, cost=_residual(agreed, here, there))
    root = next(iter(match.pieces))
    for frame in (parts.poses[root][:3, :3], np.eye(3)):
        for R in AXIAL:
            nice = frame @ R @ frame.T
            if np.linalg.norm(nice - best[:3, :3]) > 0.1:
                continue
            G = np.eye(4)
            G[:3, :3] = nice
            G[:3, 3] = (there - here @ nice.T).mean(0)
            origin = parts.poses[root][:3, 3]
            through = G.copy()
            through[:3, 3] = origin - nice @ origin
            for candidate in (through, G):
                if _residual(candidate, here, there) <= 1.5 * least + _MEANT * parts.size:
                    return replace(match, G=candidate, cost=_residual(candidate, here, there))
    return replace(match, G=best, cost=least)


def procrustes(here: Floats, there: Floats, det: float) -> Floats:
    """Isometry of given handedness that takes points to points with the least squared distance (Kabsch, 1976)."""
    a, b = here.mean(0), there.mean(0)
    u, _, vt = np.linalg.svd((there - b).T @ (here - a))
    last = np.sign(det * np.linalg.det(u @ vt))
    R = u @ np.diag([1.0, 1.0, last]) @ vt
    G = np.eye(4)
    G[:3, :3], G[:3, 3] = R, b - R @ a
    return G


def settled(G: Floats, here: Floats, there: Floats, size: float, close: float = _EXACT) -> Floats:
    """The isometry next to ``G`` that most pairs of points agree on, exactly if these agree exactly.

    Args:
        G: where to begin, ``(4, 4)``.
        here: points, ``(n, 3)``.
        there: their images.
        size: of the model.
        close: if most points are as close as this after a shift, relative to ``size``, nothing is turned.
    """
    out = G.copy()
    out[:3, 3] += np.median(there - (here @ G[:3, :3].T + G[:3, 3]), axis=0)
    left = np.linalg.norm(here @ out[:3, :3].T + out[:3, 3] - there, axis=1)
    if np.median(left) <= close * size:
        return out
    fit = out
    for _ in range(5):
        agree = left <= max(1.5 * float(np.median(left)), _EXACT * size)
        centred = here[agree] - here[agree].mean(0)
        if np.linalg.matrix_rank(centred, tol=_MEANT * size) < 2:  # a line fixes no rotation
            return out
        fit = procrustes(here[agree], there[agree], float(np.linalg.det(G[:3, :3])))
        left = np.linalg.norm(here @ fit[:3, :3].T + fit[:3, 3] - there, axis=1)
    return fit


def _kept_upright(G: Floats, here: Floats, there: Floats) -> Floats:
    """The closest isometry that keeps the vertical axis, up or down."""
    u, _, vt = np.linalg.svd(G[:2, :2])
    out = np.eye(4)
    out[:2, :2] = u @ vt
    out[2, 2] = 1.0 if G[2, 2] > 0 else -1.0
    out[:3, 3] = (there - here @ out[:3, :3].T).mean(0)
    return out


def _pairs(parts: Parts, shapes: Shapes, match: Match) -> tuple[Floats, Floats]:
    m, d = parts.model, parts.data
    det = np.linalg.det(match.G[:3, :3])
    here, there = [], []
    reach = 0.3 * parts.size
    for i, (j, sign) in match.joints.items():
        if m.jnt_type[i] == FREE:
            continue
        if m.jnt_type[i] != SLIDE:
            here.append(d.xanchor[i])
            there.append(d.xanchor[j])
        if m.jnt_type[i] == BALL:
            continue
        slides = m.jnt_type[i] == SLIDE
        a, b = (parts.inertials[int(m.jnt_bodyid[k])][1] if slides else d.xanchor[k] for k in (i, j))
        here.append(a + reach * sign * d.xaxis[i])
        there.append(b + reach * (1.0 if slides else det) * d.xaxis[j])
    for g, image in match.geoms.items():
        if len(shapes.points(g)):
            here.append(shapes.centre(g))
            there.append(shapes.centre(image))
    return np.array(here).reshape(-1, 3), np.array(there).reshape(-1, 3)


def _residual(G: Floats, here: Floats, there: Floats) -> float:
    return float(np.linalg.norm(here @ G[:3, :3].T + G[:3, 3] - there, axis=1).max())
