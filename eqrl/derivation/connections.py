"""Images of what connects parts: sites, tendons, actuators, equality constraints, exclusions, pairs, flexes.

The parts that each refers to determine its image. What has no image breaks the symmetry and becomes a discrepancy.
"""

from __future__ import annotations

import numpy as np

from eqrl.derivation.actuation import Actuation
from eqrl.derivation.constraints import contact_pairs, equalities, exclusions
from eqrl.derivation.flexes import flexes
from eqrl.derivation.images import Images
from eqrl.derivation.model_parts import Parts
from eqrl.derivation.symmetry import Symmetry

_NEAR = 0.05


class Connections(Images):
    """Images of parts and of all that connects them; ``broken`` lists everything without an image."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.actuation = Actuation(self)
        self.broken += [self.no_image("actuator", i) for i in self.actuation.missing]
        self.broken += [*equalities(self), *exclusions(self), *contact_pairs(self), *flexes(self)]


def actuation_of(parts: Parts, s: Symmetry) -> Actuation:
    """How the actuators of a model turn under a symmetry that is known, perhaps one that only nearly holds."""
    moved = parts.poses[s.bodies] @ s.frames @ np.linalg.inv(parts.poses)
    return Connections(parts, moved, s.bodies, s.joints, s.joint_signs, s.geoms, _NEAR * parts.size, s.R).actuation
