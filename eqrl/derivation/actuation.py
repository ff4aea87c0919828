"""Where a symmetry takes each actuator, and the signs with which lengths, forces and controls turn.

An actuator of length l pushes along it with ``gain(l, v) u + bias(l, v)``. Under a symmetry lengths, velocities and
forces turn with one sign, ``sense``. The control need not: where the gain is proportional to the velocity, as that of a
damper, gain and velocity change their signs together, and the control keeps its own.
"""

from __future__ import annotations

import mujoco
import numpy as np
from scipy.optimize import linear_sum_assignment

from eqrl.arrays import Floats, Ints
from eqrl.derivation.images import Images, sign_between
from eqrl.derivation.model_parts import BALL, FREE, Parts, numbers

_T, _GAIN, _BIAS, _DYN = (numbers(e) for e in (mujoco.mjtTrn, mujoco.mjtGain, mujoco.mjtBias, mujoco.mjtDyn))
_JOINTS = (_T.mjTRN_JOINT, _T.mjTRN_JOINTINPARENT)
_NO_IMAGE, _WORST = 1e6, 1e5


def refuse_several_controls(model: mujoco.MjModel) -> None:
    """Refuse a model that has actuators with more than one control, or with none.

    Raises:
        ValueError: for the first of them, by name.
    """
    for k in np.flatnonzero(model.actuator_ctrlnum != 1):
        name = str(model.actuator(int(k)).name) or f"actuator{k}"
        raise ValueError(
            f"actuator {name} has {model.actuator_ctrlnum[k]} controls, but symmetries are derived of actuators with"
            ' one: give a pid, a dcmotor or a servo of orientation a single input, as input="pos"'
        )


class Actuation:
    """Images and signs of a model's actuators under one symmetry.

    Attributes:
        images: image of every actuator, ``(nu,)``; its own number where there is none, see ``missing``.
        senses: sign of its length, velocity and force, ``(nu,)``.
        signs: sign of its control and activation, ``(nu,)``.
        missing: actuators without an image.
    """

    def __init__(self, images: Images) -> None:
        self.of = images
        self.parts: Parts = images.parts
        m = self.parts.model
        costs, senses = np.full((m.nu, m.nu), _NO_IMAGE), np.ones((m.nu, m.nu))
        for i in range(m.nu):
            for j in range(m.nu):
                if sense := self.sense(i, j):
                    costs[i, j], senses[i, j] = min(self._unlike(i, j, sense), _WORST), sense
        rows, columns = linear_sum_assignment(costs)
        self.images: Ints = np.arange(m.nu)
        self.images[rows] = columns
        self.missing = [int(i) for i, j in zip(rows, columns, strict=True) if costs[i, j] >= _NO_IMAGE]
        self.senses: Floats = senses[np.arange(m.nu), self.images]
        self.signs: Floats = np.array([self.sign(k, int(self.images[k]), self.senses[k]) for k in range(m.nu)])
        self.offsets: Floats = np.array([self.offset(k, int(self.images[k]), self.senses[k]) for k in range(m.nu)])

    # ------------------------------------------------------------------ transmission
    def gear(self, i: int) -> Floats:
        """Gear of an actuator in the frame of its image, ``(6,)``; entries that are not read are 0.

        On a hinge, a slide or a fixed tendon it has the sign of these. A muscle can only pull, so that it keeps the
        sign.
        """
        m, r = self.parts.model, self.of
        kind, (a, b), g = int(m.actuator_trntype[i]), m.actuator_trnid[i], m.actuator_gear[i]
        out = np.zeros(6)
        if kind in _JOINTS and m.jnt_type[a] in (FREE, BALL):
            body = int(m.jnt_bodyid[a])
            parent = int(m.body_parentid[body])
            above = r.R if m.body_weldid[parent] == 0 else r.frames[parent, :3, :3]
            turning = r.frames[body, :3, :3] if kind == _T.mjTRN_JOINT else above
            torque = np.linalg.det(turning) * turning
            if m.jnt_type[a] == BALL:
                out[:3] = torque @ g[:3]
            else:  # forces on a free joint keep the directions of the world
                out[:3], out[3:] = r.R @ g[:3], torque @ g[3:]
        elif kind in _JOINTS:
            out[0] = r.signs[a] * g[0]
        elif kind == _T.mjTRN_TENDON:
            out[0] = r.tendon_signs[a] * g[0]
        elif kind == _T.mjTRN_SITE:
            axes = r.site_frame(int(b if b >= 0 else a))[:3, :3]
            out[:3], out[3:] = axes @ g[:3], np.linalg.det(axes) * axes @ g[3:]
        else:
            out[0] = g[0]
        return out

    def sense(self, i: int, j: int) -> float:
        """Sign of length and force with which actuator ``j`` plays the part of actuator ``i``; 0 if it does not."""
        m, r = self.parts.model, self.of
        kind = int(m.actuator_trntype[i])
        if kind != m.actuator_trntype[j]:
            return 0.0
        (a, b), (c, d) = m.actuator_trnid[i], m.actuator_trnid[j]
        if kind in _JOINTS:
            fits = r.joints[a] == c
            if fits and m.jnt_type[a] == FREE and m.actuator_gear[i][:3].any():
                # the force is to pass through the origin
                fits = np.linalg.norm(r.frames[m.jnt_bodyid[a], :3, 3]) <= r.slack
        elif kind == _T.mjTRN_TENDON:
            fits = r.tendons[a] == c
        elif kind == _T.mjTRN_BODY:
            fits = r.bodies[a] == c
        elif kind == _T.mjTRN_SITE:
            fits = r.sites[a] == c and (b >= 0) == (d >= 0) and (b < 0 or r.sites[b] == d)
        elif kind == _T.mjTRN_SLIDERCRANK:
            fits = r.sites[a] == c and r.sites[b] == d
        else:
            fits = i == j
        return _along(self.gear(i), self._read(j)) if fits else 0.0

    def _read(self, j: int) -> Floats:
        """Entries of the gear that are read."""
        m = self.parts.model
        kind, thing = int(m.actuator_trntype[j]), int(m.actuator_trnid[j][0])
        if kind == _T.mjTRN_SITE or (kind in _JOINTS and m.jnt_type[thing] == FREE):
            size = 6
        else:
            size = 3 if kind in _JOINTS and m.jnt_type[thing] == BALL else 1
        return np.where(np.arange(6) < size, m.actuator_gear[j], 0.0)

    def gears(self, i: int, j: int) -> tuple[Floats, Floats]:
        """Gear of actuator ``i`` as turned, and that of its image; a muscle's has to keep its sign."""
        sense = 1.0 if self._pulls(i) else self.sense(i, j)
        return sense * self.gear(i), self._read(j)

    def length_shift(self, i: int, j: int, sense: float) -> float:
        """The c in ``sense * length + c``, the length of the image of an actuator on a hinge, slide or fixed tendon."""
        m, r = self.parts.model, self.of
        thing, image, kind = int(m.actuator_trnid[i][0]), int(m.actuator_trnid[j][0]), int(m.actuator_trntype[i])
        if kind == _T.mjTRN_TENDON:
            here, there = self.parts.fixed_length(thing), self.parts.fixed_length(image)
        elif kind in _JOINTS and m.jnt_type[thing] not in (FREE, BALL):
            here, there = (float(self.parts.reference[m.jnt_qposadr[j]]) for j in (thing, r.joints[thing]))
        else:
            return 0.0
        return float(m.actuator_gear[j][0] * there - sense * m.actuator_gear[i][0] * here)

    # ------------------------------------------------------------------ force
    def sign(self, i: int, j: int, sense: float) -> float:
        """Sign of the control: what makes the turned gain that of the image."""
        m = self.parts.model
        if self._pulls(i) or m.actuator_dyntype[i] == _DYN.mjDYN_MUSCLE:
            return 1.0
        if m.actuator_gaintype[i] != _GAIN.mjGAIN_AFFINE:
            return sense
        there = m.actuator_gainprm[j]
        return min((sense, -sense), key=lambda sign: float(np.abs(self.gain(i, j, sense, sign) - there).sum()))

    def gain(self, i: int, j: int, sense: float, sign: float) -> Floats:
        """Parameters that the gain of the image needs.

        With them its gain at ``sense l + c`` is ``sense sign`` times the gain at ``l``.
        """
        m = self.parts.model
        prm = np.array(m.actuator_gainprm[i])
        if m.actuator_gaintype[i] == _GAIN.mjGAIN_FIXED:
            prm[0] *= sense * sign
        elif m.actuator_gaintype[i] == _GAIN.mjGAIN_AFFINE:
            prm[:3] *= sign * np.array([sense, 1.0, 1.0])
            prm[0] -= prm[1] * self.length_shift(i, j, sense)
        return prm

    def bias(self, i: int, j: int, sense: float, offset: float) -> Floats:
        """Parameters that the image's bias needs, where its control has an offset besides."""
        m = self.parts.model
        prm, kind = np.array(m.actuator_biasprm[i]), int(m.actuator_biastype[i])
        shift = self.length_shift(i, j, sense)
        if kind == _BIAS.mjBIAS_AFFINE:
            prm[0] = sense * prm[0] - prm[1] * shift - m.actuator_gainprm[i][0] * offset
        elif kind == _BIAS.mjBIAS_DCMOTOR:  # cogging: amplitude, poles and phase of a sine over the angle
            there = float(m.actuator_biasprm[j][2])
            phase = sense * prm[2] - prm[1] * shift
            prm[2] = there + np.remainder(phase - there + np.pi, 2 * np.pi) - np.pi if prm[0] else there
        return prm

    def offset(self, i: int, j: int, sense: float) -> float:
        """What is added to the control where lengths shift, as for a servo on a joint that does not start at zero."""
        m = self.parts.model
        stiffness, gain = m.actuator_biasprm[i][1], m.actuator_gainprm[i][0]
        servo = m.actuator_gaintype[i] == _GAIN.mjGAIN_FIXED and m.actuator_biastype[i] == _BIAS.mjBIAS_AFFINE
        if not servo or stiffness == 0.0 or gain == 0.0:
            return 0.0
        return float(-stiffness * self.length_shift(i, j, sense) / gain)

    def _pulls(self, i: int) -> bool:
        """Whether an actuator can only pull."""
        m = self.parts.model
        return bool(m.actuator_gaintype[i] == _GAIN.mjGAIN_MUSCLE or m.actuator_biastype[i] == _BIAS.mjBIAS_MUSCLE)

    def _unlike(self, i: int, j: int, sense: float) -> float:
        """How much two actuators on the same part differ."""
        m = self.parts.model
        sign = self.sign(i, j, sense)
        low, high = np.sort(sign * m.actuator_ctrlrange[i])
        unlike = abs(low - m.actuator_ctrlrange[j][0]) + abs(high - m.actuator_ctrlrange[j][1])
        unlike += np.abs(self.gain(i, j, sense, sign) - m.actuator_gainprm[j]).sum()
        kinds = [m.actuator_gaintype, m.actuator_biastype, m.actuator_dyntype]
        unlike += 10.0 * sum(kind[i] != kind[j] for kind in kinds)
        return float(unlike + 100.0 * (self._pulls(i) and sense < 0))


def _along(x: Floats, y: Floats) -> float:
    """The same for gears of force and torque together: a propeller's torque is small, but has to turn the right way."""
    signs = {sign_between(x[half], y[half]) for half in (slice(0, 3), slice(3, 6)) if x[half].any() or y[half].any()}
    if not signs:
        return 1.0
    return signs.pop() if len(signs) == 1 else 0.0
