"""The rule of comparison: what is allowed, who is nudged how often, and which violation is named."""

import numpy as np
import pytest

from eqrl.proof.comparison import compare

NAMES = ("position", "velocity")


def gaps(*, steps=4, states=3, **sizes):
    """Differences of zero, but for ``step_state_column=size``."""
    out = np.zeros((steps + 1, states, 2))
    for where, size in sizes.items():
        out[tuple(map(int, where.strip("_").split("_")))] = size
    return out


class Growth:
    """Growth of nudges: the same after each step, by the number of nudges; remembers what it was asked."""

    def __init__(self, of_all=0.0, some=0.0, many=0.0):
        self.sizes = {2: of_all, 16: some, 64: many}
        self.asked = []

    def __call__(self, state, steps, nudges):
        self.asked.append((state, steps, nudges))
        return np.full((steps + 1, 3 if state is None else 1), self.sizes[nudges])


def test_nothing_is_nudged_where_nothing_differs():
    growth = Growth()
    compared = compare(gaps(_2_1_0=1e-9), NAMES, 1e-8, growth)
    assert compared.violation is None
    assert growth.asked == []
    assert compared.largest == 1e-9
    assert compared.remarks == ()


def test_a_state_is_nudged_more_often_before_it_violates():
    growth = Growth()
    compared = compare(gaps(_2_1_0=1e-6), NAMES, 1e-8, growth)
    assert growth.asked == [(None, 4, 2), (1, 2, 16), (1, 4, 64)]
    violation = compared.violation
    assert (violation.step, violation.state, violation.field, violation.size) == (2, 1, "position", 1e-6)
    growth = Growth()
    assert compare(gaps(_2_1_0=1e-6), NAMES, 1e-8, growth, decisive=False).violation is not None
    assert growth.asked == [(None, 4, 2), (1, 2, 16)]


@pytest.mark.parametrize("growth", [Growth(of_all=1e-8), Growth(some=1e-8), Growth(many=1e-8)])
def test_a_hundred_times_what_any_nudge_makes_is_allowed(growth):
    assert compare(gaps(_2_1_0=0.9e-6), NAMES, 1e-8, growth).violation is None
    assert compare(gaps(_2_1_0=1.1e-6), NAMES, 1e-8, growth).violation is not None


def test_the_earliest_violation_is_named_and_there_the_largest_or_the_first():
    differences = gaps(_3_0_0=1.0, _2_2_0=1e-3, _2_2_1=1e-2)
    largest = compare(differences, NAMES, 1e-8, Growth()).violation
    assert (largest.step, largest.state, largest.field) == (2, 2, "velocity")
    first = compare(differences, NAMES, 1e-8, Growth(), in_order=True).violation
    assert (first.step, first.state, first.field) == (2, 2, "position")


def test_where_a_nudge_leaves_nothing_the_comparison_of_a_state_ends():
    class Late(Growth):
        def __call__(self, state, steps, nudges):
            grown = super().__call__(state, steps, nudges)
            grown[3, 0] = 1e-3  # and what has grown once does not shrink again
            return grown

    compared = compare(gaps(_3_0_0=0.5, _4_0_0=0.5, _1_1_1=1e-9), NAMES, 1e-8, Late())
    assert compared.violation is None
    assert [compared.lost(k) for k in range(5)] == [0, 0, 0, 1, 1]
    assert compared.largest == 1e-9
    assert compared.remarks[0].startswith("ill-conditioned: 1 of 3")
    assert not compared.is_empty
    assert compare(gaps(_3_0_0=0.5), NAMES, 1e-8, Growth(of_all=1e-3)).is_empty


def test_what_diverges_differs_without_end():
    compared = compare(gaps(_2_1_0=np.nan), NAMES, 1e-8, Growth())
    assert compared.violation.size == np.inf
