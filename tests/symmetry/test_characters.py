"""Characters and isotypic projectors of the groups that robots have."""

import numpy as np
import pytest

from eqrl.symmetry import Generator, finite_group
from eqrl.symmetry.characters import character_table, isotypic_parts, multiplication_table

TURN = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
MIRROR = np.diag([1.0, -1.0, 1.0])
C3 = np.array([[-0.5, -np.sqrt(0.75), 0.0], [np.sqrt(0.75), -0.5, 0.0], [0.0, 0.0, 1.0]])
GROUPS = {
    "C2": ([MIRROR], [1, 1]),
    "C4": ([TURN], [1, 1, 1, 1]),
    "D4": ([TURN, MIRROR], [1, 1, 1, 1, 2]),
    "D3": ([C3, MIRROR], [1, 1, 2]),
    "tetrahedron": ([np.roll(np.eye(3), 1, axis=0), np.diag([1.0, -1.0, -1.0])], [1, 1, 1, 3]),
}


def elements_of(name):
    return finite_group(name, [Generator.of(str(i), R) for i, R in enumerate(GROUPS[name][0])]).cosets


@pytest.mark.parametrize("name", GROUPS)
def test_characters_are_orthogonal_and_dimensions_right(name):
    table = multiplication_table(elements_of(name))
    characters = character_table(table)
    np.testing.assert_allclose(characters[0], 1.0, atol=1e-9)
    assert sorted(np.round(characters[:, 0].real).astype(int)) == GROUPS[name][1]
    np.testing.assert_allclose(characters @ characters.conj().T / len(table), np.eye(len(characters)), atol=1e-9)


@pytest.mark.parametrize("name", GROUPS)
def test_projectors_split_the_regular_representation(name):
    table = multiplication_table(elements_of(name))
    n = len(table)
    regular = np.zeros((n, n, n))
    for g in range(n):
        regular[g, table[g], np.arange(n)] = 1.0
    projectors = [part.projector for part in isotypic_parts(regular, table)]
    np.testing.assert_allclose(sum(projectors), np.eye(n), atol=1e-9)
    for i, P in enumerate(projectors):
        np.testing.assert_allclose(P, P.T, atol=1e-9)
        for j, Q in enumerate(projectors):
            np.testing.assert_allclose(P @ Q, P if i == j else 0.0, atol=1e-9)
        for g in range(n):
            np.testing.assert_allclose(regular[g] @ P, P @ regular[g], atol=1e-9)


def test_what_is_not_closed_is_refused():
    with pytest.raises(ValueError, match="no group"):
        multiplication_table(elements_of("C4")[:3])


def test_a_complex_irrep_and_its_conjugate_are_one_of_dimension_two():
    """The vectors that a turn by 90 degrees turns."""
    elements = elements_of("C4")
    names = [part.name for part in isotypic_parts(elements.R.numpy(), multiplication_table(elements))]
    assert sorted(name.split(" of ")[-1] for name in names) == ["dimension 2", "symmetric"]
