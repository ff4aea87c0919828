"""How sensor data turn: the image of every sensor, and the matrix of all of them."""

from __future__ import annotations

import mujoco
import numpy as np

from eqrl.arrays import Floats, Ints
from eqrl.derivation.connections import Connections
from eqrl.derivation.model_parts import numbers

_ALONG = 1e-9
_S, _O = numbers(mujoco.mjtSensor), numbers(mujoco.mjtObj)
_LOCAL_POLAR = {_S.mjSENS_ACCELEROMETER, _S.mjSENS_VELOCIMETER, _S.mjSENS_FORCE, _S.mjSENS_MAGNETOMETER}
_LOCAL_AXIAL = {_S.mjSENS_GYRO, _S.mjSENS_TORQUE}
_JOINT_SIGNED = {_S.mjSENS_JOINTPOS, _S.mjSENS_JOINTVEL, _S.mjSENS_JOINTACTFRC}
_TENDON = {_S.mjSENS_TENDONPOS, _S.mjSENS_TENDONVEL, _S.mjSENS_TENDONACTFRC}
_ACTUATOR = {_S.mjSENS_ACTUATORPOS, _S.mjSENS_ACTUATORVEL, _S.mjSENS_ACTUATORFRC}
_BALL = {_S.mjSENS_BALLANGVEL}
_WORLD_POLAR = {_S.mjSENS_FRAMELINVEL, _S.mjSENS_FRAMELINACC, _S.mjSENS_SUBTREELINVEL}
_WORLD_AXIAL = {_S.mjSENS_FRAMEANGVEL, _S.mjSENS_FRAMEANGACC, _S.mjSENS_SUBTREEANGMOM}
_WORLD_POINT = {_S.mjSENS_FRAMEPOS, _S.mjSENS_SUBTREECOM}
_SCALAR = {
    _S.mjSENS_TOUCH, _S.mjSENS_RANGEFINDER, _S.mjSENS_JOINTLIMITPOS, _S.mjSENS_JOINTLIMITVEL, _S.mjSENS_JOINTLIMITFRC,
    _S.mjSENS_TENDONLIMITPOS, _S.mjSENS_TENDONLIMITVEL, _S.mjSENS_TENDONLIMITFRC, _S.mjSENS_E_POTENTIAL,
    _S.mjSENS_E_KINETIC, _S.mjSENS_CLOCK, _S.mjSENS_INSIDESITE, _S.mjSENS_GEOMDIST,
}  # fmt: skip


def sensors(connections: Connections, R: Floats, t: Floats) -> tuple[Ints, Floats, Floats, tuple[str, ...]]:
    """Images, matrix and offset of all sensors.

    With them come the names of sensors whose readings do not turn linearly or have no image.

    Args:
        connections: images of everything else.
        R: orthogonal part of the world isometry.
        t: its translation.
    """
    m = connections.parts.model
    images = np.full(m.nsensor, -1, dtype=np.int64)
    matrix, offset = np.zeros((m.nsensordata, m.nsensordata)), np.zeros(m.nsensordata)
    unknown = []
    free: dict[tuple[int, ...], list[int]] = {}
    for k in range(m.nsensor):
        free.setdefault(_signature(m, k, int(m.sensor_objid[k]), int(m.sensor_refid[k])), []).append(k)
    for i in range(m.nsensor):
        rule = _rule(connections, i, R, t)
        fits = free.get(_signature(m, i, *_images_of_objects(connections, i)), [])
        if rule is None or not fits:
            unknown.append(connections.parts.name("sensor", i))
            continue
        images[i] = k = fits.pop(0)
        a, b, n = m.sensor_adr[i], m.sensor_adr[k], m.sensor_dim[i]
        matrix[b : b + n, a : a + n] = rule[0]
        offset[b : b + n] = rule[1]
    return images, matrix, offset, tuple(unknown)


def _rule(connections: Connections, i: int, R: Floats, t: Floats) -> tuple[Floats, Floats] | None:
    m, kind, thing = (
        connections.parts.model,
        int(connections.parts.model.sensor_type[i]),
        int(connections.parts.model.sensor_objid[i]),
    )
    none, flat = np.zeros(3), np.eye(int(m.sensor_dim[i]))
    if kind == _S.mjSENS_RANGEFINDER and not _looks_along(connections, i):
        return None  # the image looks another way
    if kind in _SCALAR:
        return flat, np.zeros(len(flat))
    if kind in _JOINT_SIGNED:
        sign = connections.signs[thing]
        ref = connections.parts.reference[m.jnt_qposadr[[connections.joints[thing], thing]]]
        return sign * flat, np.full(1, ref[0] - sign * ref[1] if kind == _S.mjSENS_JOINTPOS else 0.0)
    if kind in _TENDON:
        sign, length = connections.tendon_signs[thing], connections.parts.fixed_length
        shift = length(int(connections.tendons[thing])) - sign * length(thing) if kind == _S.mjSENS_TENDONPOS else 0.0
        return sign * flat, np.full(1, shift)
    if kind in _ACTUATOR:
        image, sense = int(connections.actuation.images[thing]), float(connections.actuation.senses[thing])
        shift = connections.actuation.length_shift(thing, image, sense) if kind == _S.mjSENS_ACTUATORPOS else 0.0
        return sense * flat, np.full(1, shift)
    if kind == _S.mjSENS_MAGNETOMETER and not np.allclose(R.T @ m.opt.magnetic, m.opt.magnetic, atol=1e-9):
        return None  # the field of the world does not turn with the model
    if kind in _BALL:
        frame = connections.frames[m.jnt_bodyid[thing], :3, :3]
        return np.linalg.det(frame) * frame, none
    if kind in _LOCAL_POLAR | _LOCAL_AXIAL and connections.sites[thing] >= 0:
        frame = connections.site_frame(thing)[:3, :3]
        return (np.linalg.det(frame) if kind in _LOCAL_AXIAL else 1.0) * frame, none
    if m.sensor_refid[i] >= 0:
        return None
    if kind in _WORLD_POLAR:
        return R, none
    if kind in _WORLD_AXIAL:
        return np.linalg.det(R) * R, none
    if kind in _WORLD_POINT:
        return R, t
    return None


def _looks_along(connections: Connections, i: int) -> bool:
    """Whether a range finder, which looks along the third axis of its site, looks along the image of that."""
    m, site = connections.parts.model, int(connections.parts.model.sensor_objid[i])
    if m.sensor_objtype[i] != _O.mjOBJ_SITE:
        return True  # cameras have no images
    return connections.sites[site] < 0 or bool(connections.site_frame(site)[2, 2] > 1.0 - _ALONG)


def _signature(m: mujoco.MjModel, i: int, thing: int, other: int) -> tuple[int, ...]:
    return int(m.sensor_type[i]), int(m.sensor_objtype[i]), int(m.sensor_reftype[i]), int(m.sensor_dim[i]), thing, other


def _images_of_objects(connections: Connections, i: int) -> tuple[int, int]:
    """Images of what a sensor measures, and of what it measures against."""
    m = connections.parts.model
    images = {
        _O.mjOBJ_BODY: connections.bodies, _O.mjOBJ_XBODY: connections.bodies, _O.mjOBJ_JOINT: connections.joints,
        _O.mjOBJ_SITE: connections.sites, _O.mjOBJ_GEOM: connections.geoms, _O.mjOBJ_TENDON: connections.tendons,
        _O.mjOBJ_ACTUATOR: connections.actuation.images,
    }  # fmt: skip

    def image(thing: int, kind: int) -> int:
        if kind == _O.mjOBJ_UNKNOWN or thing < 0:
            return thing
        of_kind = images.get(kind)
        return -2 if of_kind is None else int(of_kind[thing])

    return image(int(m.sensor_objid[i]), int(m.sensor_objtype[i])), image(
        int(m.sensor_refid[i]), int(m.sensor_reftype[i])
    )
