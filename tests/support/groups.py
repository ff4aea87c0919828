"""Finite groups that several tests use."""

import numpy as np

from eqrl.symmetry import SO2, Generator, finite_group

QUARTER = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
MIRROR = np.diag([1.0, -1.0, 1.0])
C4 = finite_group("C4", [Generator.of("quarter turn", QUARTER, {"legs": np.roll(np.eye(4), 1, 0)})])
D4 = finite_group(
    "D4",
    [
        Generator.of("quarter turn", None, {"legs": np.roll(np.eye(4), 1, 0)}),
        Generator.of("mirror", MIRROR, {"legs": np.eye(4)[::-1]}),
    ],
)
ANT = SO2.product(D4, "ant")
