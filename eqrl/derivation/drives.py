"""Whether actuators and tendons do the same as their images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from eqrl.derivation.differences import Differences
from eqrl.derivation.discrepancy import Discrepancy


class Drives(Differences):
    """Discrepancies of what moves a model."""

    def actuators(self) -> Iterator[Discrepancy | None]:
        """Ranges, gears, gains and biases of actuators."""
        m, s = self.parts.model, self.symmetry
        for i, j in enumerate(s.actuators):
            of, sign = self._of("actuator", i, j), s.ctrl_signs[i]
            if ("actuator", of[0]) in self.without_image:
                continue
            actuation = self.connections.actuation
            sense = actuation.sense(i, int(j))
            if not sense:  # pushes something else
                yield self._sized("kinematic", "actuator", of, 1.0, 0.0, 1.0)
                continue
            for name in ("ctrlrange", "actrange"):
                offset = s.ctrl_offsets[i] if name == "actrange" or s.shifts_control[i] else 0.0
                limited = f"actuator_{name.replace('range', 'limited')}"
                yield self._same("kinematic", name.replace("range", "limited"), of, *getattr(m, limited)[[i, j]])
                if getattr(m, limited)[i] and getattr(m, limited)[j]:
                    here, there = getattr(m, f"actuator_{name}")[[i, j]]
                    mapped = np.sort(sign * here) + offset
                    yield self._range("kinematic", name, of, tuple(mapped), tuple(there))
            if m.actuator_forcelimited[i] or m.actuator_forcelimited[j]:
                here, there = m.actuator_forcerange[[i, j]]
                yield self._range("dynamic", "forcerange", of, tuple(np.sort(sense * here)), tuple(there))
            for name in ("forcelimited", "actearly", "cranklength", "delay", "dampingpoly"):
                yield self._same("dynamic", name, of, self._get("actuator", name, i), self._get("actuator", name, j))
            yield self._same("dynamic", "gear", of, *actuation.gears(i, int(j)))
            for name in ("gaintype", "biastype", "dyntype", "dynprm", "armature", "damping"):
                yield self._same("dynamic", name, of, self._get("actuator", name, i), self._get("actuator", name, j))
            yield self._same("dynamic", "gainprm", of, actuation.gain(i, int(j), sense, sign), m.actuator_gainprm[j])
            bias = actuation.bias(i, int(j), sense, s.ctrl_offsets[i])
            yield self._same("dynamic", "biasprm", of, bias, m.actuator_biasprm[j])

    def tendons(self) -> Iterator[Discrepancy | None]:
        """Coefficients, ranges and springs of tendons."""
        m = self.parts.model
        for i, j in enumerate(self.symmetry.tendons):
            of = self._of("tendon", i, j)
            if ("tendon", of[0]) in self.without_image:
                continue
            sign, shift = self.connections.tendon_signs[i], self.parts.fixed_length(j)
            shift -= sign * self.parts.fixed_length(i)
            moved, other = self.connections.coefficients(i, moved=True), self.connections.coefficients(int(j))
            if len(moved) == len(other):
                yield self._same("kinematic", "coef", of, sign * moved, other)
            yield self._same("kinematic", "limited", of, m.tendon_limited[i], m.tendon_limited[j])
            if m.tendon_limited[i] and m.tendon_limited[j]:
                mapped = np.sort(sign * m.tendon_range[i]) + shift
                yield self._range("kinematic", "range", of, tuple(mapped), tuple(m.tendon_range[j]))
            if m.tendon_stiffness[i] or m.tendon_stiffness[j]:
                mapped = np.sort(sign * m.tendon_lengthspring[i]) + shift
                yield self._same("dynamic", "springlength", of, mapped, m.tendon_lengthspring[j])
            if m.tendon_actfrclimited[i] and m.tendon_actfrclimited[j]:
                mapped = np.sort(sign * m.tendon_actfrcrange[i])
                yield self._range("dynamic", "actfrcrange", of, tuple(mapped), tuple(m.tendon_actfrcrange[j]))
            for name in (
                "stiffness",
                "damping",
                "frictionloss",
                "stiffnesspoly",
                "dampingpoly",
                "actfrclimited",
                "margin",
                "armature",
                "solref_lim",
                "solimp_lim",
                "solref_fri",
                "solimp_fri",
            ):
                yield self._same("dynamic", name, of, self._get("tendon", name, i), self._get("tendon", name, j))
