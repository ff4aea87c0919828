"""Symmetric and antisymmetric parts of signals and of attention."""

import numpy as np
import pytest
import torch
from toy_envs import MIRRORED_JOINTS, Walker

from eqrl.diagnostics import (
    Functions,
    Sample,
    attention_by_irreps,
    attention_parity,
    diagnose_model,
    parity_energy,
    parts_of,
)
from eqrl.diagnostics.spaces import Spaces
from eqrl.symmetry import EntitySet, Field, Generator, Representation, finite_group
from eqrl.symmetry.characters import isotypic_parts, multiplication_table

SWAP = np.eye(4)[[1, 0, 3, 2]]


@pytest.fixture(scope="module")
def tokens():
    limbs = EntitySet("limbs", ("a", "a", "b", "b"))
    group = finite_group("swap", [Generator.of("swap", None, {"limbs": SWAP})])
    return Representation((Field("q", "1x0e", entities="limbs"),), (limbs,), group)


def test_gaits_are_told_apart():
    torques = Walker().action_space.representation
    parts = parts_of(torques, MIRRORED_JOINTS)
    assert [part.name for part in parts] == ["symmetric", "antisymmetric"]
    np.testing.assert_allclose(sum(part.projector for part in parts), np.eye(4), atol=1e-12)
    # the mirror exchanges joints and reverses signs, so that equal torques are antisymmetric
    trot, pace = np.array([[1.0, -1.0, 0.5, -0.5]]), np.array([[1.0, 1.0, 0.5, 0.5]])
    assert parity_energy(trot, parts) == pytest.approx({"symmetric": 1.0, "antisymmetric": 0.0})
    assert parity_energy(pace, parts) == pytest.approx({"symmetric": 0.0, "antisymmetric": 1.0})
    mixed = parity_energy(np.random.default_rng(0).normal(size=(2000, 4)), parts)
    assert mixed["symmetric"] == pytest.approx(0.5, abs=0.05)
    assert sum(mixed.values()) == pytest.approx(1.0)
    assert parity_energy(np.zeros((3, 4)), parts) == {"symmetric": 0.0, "antisymmetric": 0.0}


def test_noise_of_exploration_is_no_gait(exact, sample):
    """Shares are those of the policy, whatever was done: the sample's actions are nearly all noise."""
    model = diagnose_model(exact, sample)
    noise = Sample(sample.observations, torch.randn(sample.actions.shape), sample.targets)
    assert diagnose_model(exact, noise).parity == model.parity
    signal = Functions(exact).actor(sample.observations).detach().double().numpy()
    spaces = Spaces(exact)
    assert model.parity == pytest.approx(parity_energy(signal, parts_of(spaces.action, spaces.group)))


def test_attention_by_irreps_commutes_with_the_exchange(tokens):
    rng = np.random.default_rng(0)
    Q, K, V = rng.normal(size=(3, 4, 5))
    parts = parts_of(tokens, tokens.group)
    out = sum(attention_by_irreps(Q, K, V, parts))
    np.testing.assert_allclose(sum(attention_by_irreps(SWAP @ Q, SWAP @ K, SWAP @ V, parts)), SWAP @ out, atol=1e-12)
    wrong = np.eye(4)[[0, 2, 1, 3]]
    assert np.abs(sum(attention_by_irreps(wrong @ Q, wrong @ K, wrong @ V, parts)) - wrong @ out).max() > 1e-3


def test_the_trivial_group_is_ordinary_attention(tokens):
    rng = np.random.default_rng(1)
    Q, K, V = rng.normal(size=(3, 4, 5))
    table = multiplication_table(tokens.group.cosets[:1])
    (out,) = attention_by_irreps(Q, K, V, isotypic_parts(np.eye(4)[None], table))
    weights = np.exp(Q @ K.T / np.sqrt(5))
    np.testing.assert_allclose(out, weights / weights.sum(1, keepdims=True) @ V, atol=1e-12)


def test_parity_of_attention_weights():
    permutations = np.stack([np.eye(4), SWAP])
    symmetric = np.random.default_rng(0).uniform(size=(4, 4))
    symmetric = symmetric + SWAP @ symmetric @ SWAP.T
    assert attention_parity(symmetric, permutations) == pytest.approx(1.0)
    lopsided = np.zeros((4, 4))
    lopsided[:, 0] = 1.0
    assert attention_parity(lopsided, permutations) == pytest.approx(0.5)
