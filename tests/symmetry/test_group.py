"""Groups: closure, composition, inverses, sampling, subgroups."""

import numpy as np
import pytest
import torch
from groups import ANT, C4, D4

from eqrl.symmetry import GROUPS, O2, O3, SO2, SO3, TRIVIAL, Generator, Group, about_gravity, finite_group

ALL = [*GROUPS.values(), C4, D4, ANT]


def matrices(g):
    return [g.R, *(g.h[k] for k in sorted(g.h))]


@pytest.mark.parametrize("group", ALL, ids=str)
def test_axioms_hold_for_random_elements(group):
    a, b, c = (group.sample(16, rng=i) for i in range(3))
    left, right = group.compose(group.compose(a, b), c), group.compose(a, group.compose(b, c))
    for x, y in zip(matrices(left), matrices(right), strict=True):
        torch.testing.assert_close(x, y, atol=1e-12, rtol=0)
    unit = group.compose(a, group.inverse(a))
    for m in matrices(unit):
        torch.testing.assert_close(m, torch.eye(m.shape[-1], dtype=m.dtype).expand_as(m), atol=1e-12, rtol=0)
    assert all(group.contains(a[i]) for i in range(16))
    assert group.contains(group.identity())


@pytest.mark.parametrize(("group", "order"), [(TRIVIAL, 1), (C4, 4), (D4, 8)])
def test_finite_groups_close_to_their_order(group, order):
    assert group.order == order
    elements = group.elements()
    seen = {
        tuple(np.concatenate([m[i].numpy().ravel() for m in matrices(elements)]).round(9) + 0.0) for i in range(order)
    }
    assert len(seen) == order


def test_continuous_groups_cannot_be_listed():
    assert SO2.order is None
    with pytest.raises(ValueError, match="continuous"):
        SO2.elements()


def test_a_generator_that_never_closes_is_refused():
    with pytest.raises(ValueError, match="more than 4096"):
        finite_group("bad", [Generator.of("1 rad", about_gravity(1.0).R.numpy())])


def test_matrices_must_be_orthogonal():
    with pytest.raises(ValueError, match="orthogonal"):
        Generator.of("shear", np.array([[1.0, 0.5, 0], [0, 1, 0], [0, 0, 1]]))


def test_a_tilted_generator_does_not_go_with_gravity():
    with pytest.raises(ValueError, match="vertical"):
        Group("bad", "SO2", (Generator.of("cycle", np.eye(3)[[1, 2, 0]]),))


def test_sampling_is_uniform_and_stays_about_gravity():
    R = SO3.sample(20000, rng=0).R
    # Haar measure: E[R] = 0 and E[R_ij^2] = 1/3
    assert R.mean(0).abs().max() < 0.02
    assert (R.pow(2).mean(0) - 1 / 3).abs().max() < 0.02
    g = O2.sample(2000, rng=0)
    assert (g.R[:, 2, 2] - 1).abs().max() < 1e-12
    share = (torch.linalg.det(g.R) < 0).double().mean()
    assert 0.45 < share < 0.55


def test_structure_flags():
    assert SO2.fixes_gravity
    assert not SO3.fixes_gravity
    assert O3.has_mirrors
    assert not SO3.has_mirrors
    assert ANT.relabels == {"legs"}
    assert ANT.world_part() == SO2
    assert O3.about_gravity() == O2
    assert SO3.about_gravity() == SO2
    inversion = Generator.of("inversion", -np.eye(3))
    assert Group("Ci", "1", (inversion,)).about_gravity() == TRIVIAL
    assert Group("SO2 + inversion", "SO2", (inversion,)).about_gravity() == SO2


def test_subgroups():
    assert SO2.is_subgroup_of(O3)
    assert O2.is_subgroup_of(O3)
    assert not O2.is_subgroup_of(SO3)
    assert SO2.is_subgroup_of(ANT)
    assert not O2.is_subgroup_of(ANT)  # a bare mirror does not exchange the legs


def test_no_finite_group_contains_all_rotations():
    full_turn = finite_group("C360", [Generator.of("1 degree", about_gravity(np.deg2rad(1.0)).R.numpy())])
    assert full_turn.contains(SO2.generators[0][1])
    assert not SO2.is_subgroup_of(full_turn)
    assert full_turn.is_subgroup_of(SO2)


def test_products_refuse_what_is_not_one():
    with pytest.raises(ValueError, match="both continuous"):
        SO2.product(SO3)
    with pytest.raises(ValueError, match="legs"):
        C4.product(D4)


def test_mirror_carries_its_relabelling():
    g = ANT.sample(200, rng=3)
    swapped = torch.linalg.det(g.h["legs"])  # the exchange of two pairs of legs is even, a quarter turn is odd
    assert set(swapped.round().tolist()) == {-1.0, 1.0}
    mirrored = torch.linalg.det(g.R) < 0
    cyclic = torch.stack([torch.linalg.matrix_power(torch.roll(torch.eye(4), 1, 0).double(), k) for k in range(4)])
    is_turn = (g.h["legs"][:, None] - cyclic).abs().amax((-1, -2)).amin(1) < 1e-9
    assert torch.equal(is_turn, ~mirrored)
