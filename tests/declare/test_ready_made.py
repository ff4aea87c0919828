"""Gymnasium's own environments: what the data files say is found again, and holds."""

from contextlib import nullcontext

import gymnasium
import numpy as np
import pytest

from eqrl import TypedBox, with_symmetry
from eqrl.declare import SymmetryWarning
from eqrl.declare.of_gymnasium import CLASSIC, MUJOCO, find_symmetries
from eqrl.declare.one_step import try_motion
from eqrl.declare.ready_made import as_images, signed, specs
from eqrl.proof.declared.twins import twin_of
from eqrl.symmetry import TRIVIAL

ALL = (*MUJOCO, *CLASSIC)
EXACT = {
    "Ant-v5": 8,
    "HumanoidStandup-v5": 4,  # it may stand up facing anywhere: the world turned by quarters
    "Reacher-v5": 2,
    "Swimmer-v5": 2,
    "Walker2d-v5": 2,
    "Acrobot-v1": 2,
    "CartPole-v1": 2,
    "Pendulum-v1": 2,
}
NEARLY = ("Humanoid-v5", "HumanoidStandup-v5", "InvertedPendulum-v5", "InvertedDoublePendulum-v5")


def without_numbers(data):
    """What must be found again to the letter; drifts depend on the machine, remarks on rounding."""
    generators = [{k: g[k] for k in ("name", "holds", "element")} for g in data["generators"]]
    return {**data, "generators": generators}


@pytest.mark.parametrize("name", ALL)
def test_the_data_is_found_again(name):
    found, spec = without_numbers(find_symmetries(name)), specs()[name]
    assert found["environment"] == spec.environment
    assert [(g["name"], g["holds"] == "exactly") for g in found["generators"]] == [
        (g.name, g.exact) for g in spec.generators
    ]
    for mine, theirs in zip(found["generators"], spec.generators, strict=True):
        assert set(mine["element"]) == set(theirs.element)
        for part, value in mine["element"].items():
            if part == "frames":
                assert set(value) == set(theirs.element[part])
                assert all(np.allclose(value[b], theirs.element[part][b], atol=1e-6) for b in value)
            else:
                assert np.allclose(value, theirs.element[part], atol=1e-6), part
    assert not spec.model or found["model"]["sha256"] == spec.model[1]


@pytest.mark.parametrize("name", [n for n in ALL if n not in EXACT])
def test_what_has_no_exact_symmetry_says_so(name):
    with pytest.warns(SymmetryWarning, match="no symmetry"):
        env = with_symmetry(gymnasium.make(name))
    assert env.observation_space.representation.group == TRIVIAL


@pytest.mark.parametrize("name", NEARLY)
def test_an_approximate_symmetry_is_offered_on_demand(name):
    with pytest.warns(SymmetryWarning, match="approximate=True") if name not in EXACT else nullcontext():
        exact = with_symmetry(gymnasium.make(name))
    assert any("approximate=True" in note for note in exact.types.notes)
    env = with_symmetry(gymnasium.make(name), approximate=True)
    assert env.types.group.order == 2 * exact.types.group.order


def test_the_humanoids_near_miss_names_the_two_attributes():
    (mirror,) = specs()["Humanoid-v5"].generators
    assert len(mirror.differs) == 2
    assert "right_knee stiffness 0 vs left_knee 1" in mirror.differs
    assert "right_hip_y armature 0.008 vs left_hip_y 0.01" in mirror.differs


@pytest.mark.parametrize("name", EXACT)
def test_types_are_what_the_observations_do(name):
    """On states that no other test saw, and through the representation that the policies use."""
    env = with_symmetry(gymnasium.make(name))
    rep, spec, world = env.observation_space.representation, specs()[name], twin_of(env)
    assert rep.group.order == EXACT[name] * (2 if "quaternion" in rep.group.name else 1)
    model = getattr(env.unwrapped, "model", None)
    generators = dict(rep.group.generators)
    for generator in (g for g in spec.generators if g.exact):
        matrix = rep.matrix(generators[generator.name]).numpy()
        trial = try_motion(world, generator.motion(model), matrix, samples=48, seed=1234)
        assert trial.broken() == "", trial
        if isinstance(env.action_space, TypedBox):
            acted = env.action_space.representation.matrix(generators[generator.name]).numpy()
            assert np.array_equal(acted, generator.motion(model).control)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Ant-v5", {"include_cfrc_ext_in_observation": False}),
        ("Ant-v5", {"exclude_current_positions_from_observation": False}),
        ("Swimmer-v5", {"exclude_current_positions_from_observation": False}),
        ("Walker2d-v5", {"exclude_current_positions_from_observation": False}),
        ("Humanoid-v5", {"include_cinert_in_observation": False, "include_cvel_in_observation": False}),
        (
            "Humanoid-v5",
            {"exclude_current_positions_from_observation": False, "include_qfrc_actuator_in_observation": False},
        ),
        ("HumanoidStandup-v5", {"include_cfrc_ext_in_observation": False}),
    ],
)
def test_options_that_change_the_observation(name, options):
    env = with_symmetry(gymnasium.make(name, **options), approximate=True)
    rep, model, world = env.observation_space.representation, env.unwrapped.model, twin_of(env)
    assert rep.dim == env.unwrapped.observation_space.shape[0]
    for generator in specs()[name].generators:
        matrix = rep.matrix(dict(rep.group.generators)[generator.name]).numpy()
        trial = try_motion(world, generator.motion(model), matrix, wide=generator.exact, seed=7)
        assert trial.broken(dynamics=generator.exact) == ""


def test_options_that_break_a_symmetry_are_noticed():
    """A clip that treats signs differently reverses no more; a reward for one foot tells the legs apart."""
    clipped = with_symmetry(gymnasium.make("Ant-v5", contact_force_range=(-0.5, 1.0))).types
    assert "sagittal mirror" not in dict(clipped.group.generators)
    assert "quarter turn about z" in dict(clipped.group.generators), "it exchanges forces and reverses none"
    # what maps that leg to itself is left: the reflection of the body through it, and of the world in the plane of x
    one_foot = with_symmetry(gymnasium.make("Ant-v5", main_body=13)).types
    assert one_foot.group.name.startswith("C2")
    assert [float(e.R[1, 1]) for _, e in one_foot.group.generators] == [-1.0]


def test_options_that_break_nothing_keep_everything():
    assert with_symmetry(gymnasium.make("Ant-v5", healthy_z_range=(0.3, 0.9))).types.group.order == 16
    assert with_symmetry(gymnasium.make("Pendulum-v1", g=9.81)).types.group.order == 2
    assert with_symmetry(gymnasium.make("Reacher-v5", reward_control_weight=2)).types.group.order == 2


def test_the_ant_keeps_what_fixes_x():
    group = with_symmetry(gymnasium.make("Ant-v5")).types.group
    R = group.cosets.R.numpy()
    assert np.allclose(R[:, :, 0], [1.0, 0.0, 0.0])
    assert {float(r[1, 1]) for r in R} == {1.0, -1.0}
    assert group.connected == "1"


@pytest.mark.parametrize("break_it", ["sign", "swap", "polar"])
def test_a_wrong_map_is_caught(break_it):
    """The trial that the types have passed can fail."""
    env = with_symmetry(gymnasium.make("Ant-v5"), group="sagittal mirror")
    rep, world = env.observation_space.representation, twin_of(env)
    (mirror,) = [g for g in specs()["Ant-v5"].generators if g.name == "sagittal mirror"]
    matrix = rep.matrix(rep.group.generators[0][1]).numpy()
    if break_it == "sign":
        matrix[rep.slices["joint positions"].start] *= -1.0
    elif break_it == "swap":
        first = rep.slices["joint velocities"].start
        matrix[[first, first + 1]] = matrix[[first + 1, first]]
    else:
        matrix[rep.slices["torso angular velocity"]] *= -1.0
    assert "observation" in try_motion(world, mirror.motion(env.unwrapped.model), matrix).broken()


def test_a_wrong_action_is_caught():
    env = gymnasium.make("Walker2d-v5")
    (exchange,) = specs()["Walker2d-v5"].generators
    trial = try_motion(twin_of(env), exchange.motion(env.unwrapped.model), action=lambda a: a)
    assert "physics" in trial.broken()


def test_another_reward_is_caught():
    """A reward that counts one leg is not kept by the exchange of legs."""

    env = gymnasium.make("Walker2d-v5")
    world = twin_of(env)
    step = world.env.step

    def limping(action):
        observation, reward, *rest = step(action)
        return observation, reward - float(action[0]) ** 2, *rest

    world.env.step = limping
    (exchange,) = specs()["Walker2d-v5"].generators
    assert "reward" in try_motion(world, exchange.motion(env.unwrapped.model)).broken()


def test_signed_permutations_are_written_and_read():
    images = [2, -1, 3]
    assert as_images(signed(images)) == images
    assert np.array_equal(signed(images) @ np.array([10.0, 20.0, 30.0]), [-20.0, 10.0, 30.0])
