"""Images of equality constraints, exclusions and pairs: what has none, and where their data differ, by attribute."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import mujoco
import numpy as np
from numpy.polynomial import Polynomial
from scipy.optimize import linear_sum_assignment

from eqrl.arrays import Floats
from eqrl.derivation.discrepancy import NONE, Discrepancy, Level
from eqrl.derivation.images import Images
from eqrl.derivation.model_parts import numbers
from eqrl.symmetry.quaternions import quaternion_to_matrix

_E, _O = numbers(mujoco.mjtEq), numbers(mujoco.mjtObj)
_ROUNDING = 1e-9
_COUPLINGS = (_E.mjEQ_JOINT, _E.mjEQ_TENDON)
_ATTACHMENTS = (_E.mjEQ_CONNECT, _E.mjEQ_WELD)
_PAIR = ("friction", "dim", "solref", "solimp", "margin", "gap", "solreffriction")
_TERMS = 5  # of the polynomial of a coupling

# What a constraint holds, by attribute: as the symmetry turns it, as its image holds it, and their relative difference.
Data = dict[str, tuple[Floats, Floats, float]]


def switched_off(model: mujoco.MjModel) -> list[str]:
    """Names of the equality constraints that are not active: they do nothing, and are not compared."""
    return [str(model.equality(int(e)).name) or f"equality{e}" for e in np.flatnonzero(model.eq_active0 == 0)]


def equalities(r: Images) -> Iterator[Discrepancy]:
    """Active equality constraints against their images."""
    m = r.parts.model
    active = [int(e) for e in np.flatnonzero(m.eq_active0)]
    here, there = defaultdict(list), defaultdict(list)
    for e in active:
        here[_holds(r, e, moved=True)].append(e)
        there[_holds(r, e, moved=False)].append(e)
    for things, group in here.items():
        images = there[things]
        held = [[_closest(r, e, k) for k in images] for e in group]
        costs = np.array([[_cost(d) for d in row] for row in held]).reshape(len(group), len(images))
        rows, columns = linear_sum_assignment(costs)
        yield from (r.no_image("equality", e) for i, e in enumerate(group) if i not in rows)
        for i, j in zip(rows, columns, strict=True):
            of = (r.parts.name("equality", group[i]), r.parts.name("equality", images[j]))
            for field, (moved, other, gap) in held[i][j].items():
                if gap > _ROUNDING:
                    level: Level = "dynamic" if field in ("solref", "solimp") else "kinematic"
                    yield Discrepancy(level, field, of, (_value(moved), _value(other)), gap)


def exclusions(r: Images) -> Iterator[Discrepancy]:
    """Pairs of bodies that may not touch, against those of their images."""
    m = r.parts.model
    pairs = {frozenset((int(x) >> 16, int(x) & 0xFFFF)) for x in m.exclude_signature}
    for pair in pairs:
        if frozenset(int(r.bodies[b]) for b in pair) not in pairs:
            name = "-".join(r.parts.body_name(b) for b in sorted(pair))
            yield Discrepancy("kinematic", "exclude", (name, NONE), (1.0, 0.0), 1.0)


def contact_pairs(r: Images) -> Iterator[Discrepancy]:
    """Explicit pairs of geoms against those of their images."""
    m = r.parts.model
    numbers_of = {tuple(sorted((int(m.pair_geom1[p]), int(m.pair_geom2[p])))): p for p in range(m.npair)}
    for (a, b), p in numbers_of.items():
        if r.parts.ignoring & {a, b}:
            continue
        image = tuple(sorted((int(r.geoms[a]), int(r.geoms[b]))))
        of = (r.parts.name("geom", image[0]), r.parts.name("geom", image[1]))
        if image not in numbers_of:
            name = "-".join(r.parts.name("geom", g) for g in (a, b))
            yield Discrepancy("kinematic", "pair", (name, NONE), (1.0, 0.0), 1.0)
            continue
        for name in _PAIR:
            here, there = (np.atleast_1d(getattr(m, f"pair_{name}")[k]).astype(float) for k in (p, numbers_of[image]))
            if (gap := _relative(here, there)) > 0.0:
                pair = ("pair " + "-".join(r.parts.name("geom", g) for g in (a, b)), "pair " + "-".join(of))
                yield Discrepancy("dynamic", name, pair, (_value(here), _value(there)), gap)


def _holds(r: Images, e: int, moved: bool) -> tuple[object, ...]:
    """What a constraint holds together, or the images of that: its kind and its things, in any order."""
    m = r.parts.model
    kind, objects = int(m.eq_type[e]), int(m.eq_objtype[e])
    things = [int(m.eq_obj1id[e]), int(m.eq_obj2id[e])]
    if kind in _COUPLINGS:
        images = r.joints if kind == _E.mjEQ_JOINT else r.tendons
    elif kind in _ATTACHMENTS:
        images = r.sites if objects == _O.mjOBJ_SITE else r.bodies
    else:  # of a flex
        return kind, objects, e
    return kind, objects, tuple(sorted(int(images[t]) if moved and t >= 0 else t for t in things))


def _closest(r: Images, e: int, k: int) -> Data:
    """What constraint ``e`` holds and ``k`` should, the two things of either in the order that fits better."""
    m = r.parts.model
    kind = int(m.eq_type[e])
    straight, crossed = _order(r, e, k)
    if kind in _COUPLINGS:
        fits = [d for swapped in (False, True) if (straight, crossed)[swapped] and (d := _coupling(r, e, k, swapped))]
        # a polynomial that cannot be read the other way round has no image there
        data = min(fits, key=_cost) if fits else {"polycoef": (m.eq_data[e][:_TERMS], m.eq_data[k][:_TERMS], 1.0)}
    elif kind in _ATTACHMENTS and m.eq_objtype[e] == _O.mjOBJ_BODY:
        data = min(
            (_attachment(r, e, k, swapped) for swapped in (False, True) if (straight, crossed)[swapped]), key=_cost
        )
    else:
        data = {}
    for name in ("solref", "solimp"):
        here, there = getattr(m, f"eq_{name}")[[e, k]]
        data[name] = (here, there, _relative(here, there))
    return data


def _order(r: Images, e: int, k: int) -> tuple[bool, bool]:
    """Whether the first thing of ``e`` goes to the first one of ``k``, and whether it goes to the second one."""
    m = r.parts.model
    images = {_E.mjEQ_JOINT: r.joints, _E.mjEQ_TENDON: r.tendons}.get(int(m.eq_type[e]), r.bodies)
    first = int(images[m.eq_obj1id[e]])
    return first == m.eq_obj1id[k], first == m.eq_obj2id[k]


def _cost(data: Data) -> float:
    return sum(gap for *_, gap in data.values())


def _coupling(r: Images, e: int, k: int, swapped: bool) -> Data | None:
    """Polynomials between two joints or tendons, or the value that holds one.

    Coefficients of a missing second are not read.
    """
    m = r.parts.model
    a, b = int(m.eq_obj1id[e]), int(m.eq_obj2id[e])
    signs = r.signs if m.eq_type[e] == _E.mjEQ_JOINT else r.tendon_signs
    here, there = _polynomial(r, e), _polynomial(r, k)
    here = signs[a] * here * (signs[b] ** np.arange(_TERMS) if b >= 0 else 1.0)
    if swapped:
        # y = c + k x, for then x = -c / k + y / k; only a slope of one also weighs the error the same
        if abs(abs(there[1]) - 1.0) > _ROUNDING or there[2:].any():
            return None
        there = np.array([-there[0] / there[1], 1.0 / there[1], 0.0, 0.0, 0.0])
    return {"polycoef": (here, there, _relative(here, there))}


def _polynomial(r: Images, e: int) -> Floats:
    """Coefficients of a coupling between deviations from the reference.

    One, the value, where there is no second thing.
    """
    m, parts = r.parts.model, r.parts
    a, b = int(m.eq_obj1id[e]), int(m.eq_obj2id[e])

    def shift(thing: int) -> float:
        """By how much the reference differs from the configuration that the constraint measures from."""
        if np.array_equal(parts.reference, m.qpos0):
            return 0.0
        if m.eq_type[e] == _E.mjEQ_TENDON:
            return parts.fixed_length(thing) - float(m.tendon_length0[thing])
        return float((parts.reference - m.qpos0)[m.jnt_qposadr[thing]])

    if b < 0:
        return np.array([m.eq_data[e][0] - shift(a)])
    moved = Polynomial(m.eq_data[e][:_TERMS])(Polynomial([shift(b), 1.0])) - shift(a)
    out = np.zeros(_TERMS)
    out[: len(moved.coef)] = moved.coef
    return out


def _attachment(r: Images, e: int, k: int, swapped: bool) -> Data:
    """Anchors and relative poses of connects and welds between bodies."""
    m = r.parts.model
    a, b, x, y = int(m.eq_obj1id[e]), int(m.eq_obj2id[e]), m.eq_data[e], np.array(m.eq_data[k])
    f, g, size = r.frames[a], r.frames[b], r.parts.size
    if m.eq_type[e] == _E.mjEQ_CONNECT:
        if swapped:
            y[:3], y[3:6] = m.eq_data[k][3:6], m.eq_data[k][:3]
        here = np.concatenate([f[:3, :3] @ x[:3] + f[:3, 3], g[:3, :3] @ x[3:6] + g[:3, 3]])
        return {"anchor": (here, y[:6], float(np.linalg.norm(here - y[:6])) / size)}
    held = _relative_pose(y)
    if swapped:
        y[:3] = held[:3, :3] @ y[:3] + held[:3, 3]
        held = np.asarray(np.linalg.inv(held))
    anchor = g[:3, :3] @ x[:3] + g[:3, 3]
    pose = f @ _relative_pose(x) @ np.linalg.inv(g)
    tilt = float(np.linalg.norm(pose[:3, :3] - held[:3, :3]))
    away = float(np.linalg.norm(pose[:3, 3] - held[:3, 3])) / size
    return {
        "anchor": (anchor, y[:3], float(np.linalg.norm(anchor - y[:3])) / size),
        "relpose": (pose[:3].ravel(), held[:3].ravel(), max(tilt, away)),
        "torquescale": (x[10:11], y[10:11], _relative(x[10:11], y[10:11])),
    }


def _relative_pose(data: Floats) -> Floats:
    """Pose of the second body in the first one that a weld holds, ``(4, 4)``."""
    out = np.eye(4)
    out[:3, :3] = quaternion_to_matrix(np.asarray(data[6:10]))
    out[:3, 3] = data[3:6]
    return out


def _relative(x: Floats, y: Floats) -> float:
    return float(np.abs(x - y).max() / max(np.abs(x).max(), np.abs(y).max(), 1e-12))


def _value(x: Floats) -> float | tuple[float, ...]:
    return float(x[0]) if len(x) == 1 else tuple(x.tolist())
