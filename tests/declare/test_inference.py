"""Types that are proposed from transformed observations."""

import gymnasium
import numpy as np
import pytest
from bare_robots import Crawler
from gymnasium.spaces import Box

from eqrl import infer_types, with_symmetry
from eqrl.declare import DeclarationError, SymmetryWarning
from eqrl.derivation.remembered import derivation_of
from eqrl.proof.declared.motion import motion_of
from eqrl.proof.declared.twins import twin_of
from eqrl.proof.matching import match, turning_vectors
from eqrl.proof.worlds import observe_at
from eqrl.symmetry import TRIVIAL


def held_out(env, proposal, n=40, seed=99):
    """Largest error of the proposal on states that the inference did not see."""
    world = twin_of(env)
    states = world.spread(np.random.default_rng(seed), n)
    worst = 0.0
    symmetries = {s.name: s for s in derivation_of(world.model).dynamic}
    for name, g in proposal.group.generators:
        if name not in symmetries:
            continue
        motion = motion_of(symmetries[name])
        for s in states:
            expected = proposal.observation.transform(observe_at(world, s), g)
            seen = observe_at(world, motion.state(s))
            gap = np.abs(expected - seen) / np.maximum(1.0, np.abs(seen))
            gap[list(proposal.guessed)] = 0.0
            worst = max(worst, float(gap.max()))
    return worst


@pytest.mark.parametrize(("name", "order"), [("Ant-v5", 16), ("Walker2d-v5", 2), ("Swimmer-v5", 2), ("Reacher-v5", 2)])
def test_it_finds_what_is_ready_made(name, order):
    env = gymnasium.make(name)
    proposal = infer_types(env)
    assert proposal.group.order == order
    assert held_out(env, proposal) < 1e-6
    ready = with_symmetry(env).types
    assert proposal.group.name == ready.group.name
    x = np.random.default_rng(0).standard_normal(ready.observation.dim)
    seen = np.setdiff1d(np.arange(len(x)), proposal.guessed)
    for (name, mine), (other, theirs) in zip(proposal.group.generators, ready.group.generators, strict=True):
        assert name == other
        assert np.allclose(
            proposal.observation.transform(x, mine)[seen], ready.observation.transform(x, theirs)[seen], atol=1e-6
        )


def test_vectors_are_found_under_rotations():
    env = Crawler()
    proposal = infer_types(env)
    assert proposal.group.connected == "SO2"
    assert proposal.group.name == "SO2 x D4"
    assert proposal.unexplained == ()
    kinds = {f.name: (f.irreps, f.entities is not None) for f in proposal.observation.fields}
    assert kinds["entries 1-6"] == ("1x1o", True), "the body's x and y axes, which a quarter turn exchanges"
    assert kinds["entries 10-12"] == ("1x1o", False), "the velocity"
    assert proposal.names[0] == "root z"
    assert held_out(env, proposal) < 1e-6
    typed = with_symmetry(env, proposal)
    assert typed.types.group == typed.action_space.representation.group


def test_actions_in_another_order_are_found():
    plain, mixed = infer_types(Crawler()), infer_types(Crawler("mixed"))
    flip = -np.eye(8)[::-1]
    for (name, a), (other, b) in zip(plain.group.generators[1:], mixed.group.generators[1:], strict=True):
        assert name == other
        assert np.allclose(mixed.action.matrix(b), flip @ plain.action.matrix(a).numpy() @ flip)


def test_what_stays_unexplained_is_named():
    proposal = infer_types(Crawler("odd"))
    assert {u.index for u in proposal.unexplained} == {1}
    assert {u.generator for u in proposal.unexplained} == {"quarter turn about z", "sagittal mirror"}
    assert proposal.group.name == "SO2", "rotations leave that entry alone"
    assert "entry 1 does not follow 'sagittal mirror'" in str(proposal)


def test_an_offset_is_said():
    rng = np.random.default_rng(0)
    before = rng.standard_normal((50, 3))
    after = before.copy()
    after[:, 1] = 0.5 - before[:, 1]
    found = match(before, after)
    assert found.unexplained == (1,)
    assert found.offset[1] == pytest.approx(0.5)


def test_matching_finds_permutations_signs_and_blocks():
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    true = np.zeros((8, 8))
    true[:4, :4] = np.eye(4)[[1, 0, 3, 2]] * [[1], [1], [-1], [-1]]
    true[4:, 4:] = turn
    before = rng.standard_normal((60, 8))
    found = match(before, before @ true.T)
    assert found.unexplained == ()
    assert np.allclose(found.matrix, true, atol=1e-9)


def test_matching_admits_what_never_changes():
    before = np.random.default_rng(0).standard_normal((60, 4))
    before[:, 2] = 0.0
    found = match(before, before)
    assert found.guessed == (2,)
    assert np.array_equal(found.matrix, np.eye(4))


def test_turning_vectors():
    c, s = np.cos(0.6), np.sin(0.6)
    R = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
    before = np.random.default_rng(0).standard_normal((40, 8))
    after = before.copy()
    after[:, 1:4] = before[:, 1:4] @ R.T
    after[:, 4:6] = before[:, 4:6] @ R[:2, :2].T
    after[:, 7] = before[:, 7] ** 2
    blocks, kept, left = turning_vectors(before, after, R)
    # the scalar behind two entries that turn may as well be a vector's third
    assert blocks == [(1, 3), (4, 3)]
    assert kept == [0]
    assert left == [7]


# ------------------------------------------------------------------ bad input
def test_a_rollout_that_is_not_finite_is_named():
    with pytest.raises(DeclarationError, match="observation entry 32 became nan"):
        infer_types(Crawler("nan"))


def test_no_symmetry_is_said():
    proposal = infer_types(gymnasium.make("Hopper-v5"))
    assert proposal.group == TRIVIAL
    assert "no symmetry" in str(proposal)
    with pytest.warns(SymmetryWarning, match="no symmetry of the model"):
        with_symmetry(gymnasium.make("Hopper-v5"), proposal)


def test_an_environment_without_a_model_is_refused():
    class Bare(gymnasium.Env):
        observation_space = action_space = Box(-1, 1, (2,), np.float32)

    with pytest.raises(DeclarationError, match="neither a MuJoCo `model`"):
        infer_types(Bare())
    with pytest.raises(DeclarationError, match="no MuJoCo model"):
        infer_types(gymnasium.make("Pendulum-v1"))


def test_a_proposal_is_for_one_environment():
    proposal = infer_types(gymnasium.make("Swimmer-v5"))
    with pytest.raises(DeclarationError, match="8 observed entries, but the environment has 17"):
        with_symmetry(gymnasium.make("Walker2d-v5"), proposal)
    with pytest.raises(DeclarationError, match="holds action and group already"):
        with_symmetry(gymnasium.make("Swimmer-v5"), proposal, group="SO2")


def test_given_symmetries_are_tried_alone():
    env = gymnasium.make("Ant-v5", include_cfrc_ext_in_observation=False)
    mirror = [s for s in derivation_of(env.unwrapped.model).dynamic if s.name == "sagittal mirror"]
    proposal = infer_types(env, mirror)
    assert proposal.group.name == "C2"
    wrong = mirror[0].map(joint_signs=lambda s: s * np.where(np.arange(len(s)) == 3, -1.0, 1.0))
    assert infer_types(env, [wrong]).group == TRIVIAL


def test_a_task_may_be_left_out():
    """Physics and observation alone: a reward for x no longer matters."""
    env = gymnasium.make("Swimmer-v5")
    assert infer_types(env, task=False).group.order == 2


@pytest.mark.parametrize("name", ["InvertedPendulum-v5", "InvertedDoublePendulum-v5"])
def test_an_approximate_symmetry_is_proposed_on_demand(name):
    env = gymnasium.make(name)
    assert infer_types(env).group == TRIVIAL
    proposal = infer_types(env, level="kinematic")
    assert proposal.group.order == 2
    x = np.arange(1.0, proposal.observation.dim + 1)
    ((_, mirror),) = proposal.group.generators
    ready = with_symmetry(env, approximate=True).types.observation
    assert np.array_equal(proposal.observation.transform(x, mirror), ready.transform(x, ready.group.generators[0][1]))


def test_a_reversed_reward_is_no_approximation():
    """Next to the bonus for being alive a reversed speed is small, and still it is another task."""
    proposal = infer_types(gymnasium.make("Humanoid-v5"), level="kinematic")
    refused = dict(proposal.refused)
    assert all("reward" in refused[f"world turned by {angle} degrees"] for angle in (90, 180, 270))
