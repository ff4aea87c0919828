"""The wrapper: what fits an environment keeps fitting it, and what the user declares wrongly is named."""

import pickle

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

from eqrl import (
    SO2,
    EntitySet,
    Field,
    Generator,
    Representation,
    TypedBox,
    finite_group,
    representation_of,
    with_symmetry,
)
from eqrl.agents import BreaksSymmetryError
from eqrl.declare import DeclarationError, SymmetryWarning


class Plain(gymnasium.Env):
    """Observes and acts in boxes of any size."""

    def __init__(self, size=5, actions=2, low=-1.0, high=1.0):
        self.observation_space = Box(-np.inf, np.inf, (size,), np.float32)
        self.action_space = actions if isinstance(actions, gymnasium.Space) else Box(low, high, (actions,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(self.observation_space.shape, np.float32), {}

    def step(self, action):
        return np.zeros(self.observation_space.shape, np.float32), 0.0, False, False, {}


MIRROR = finite_group("C2", [Generator.of("mirror", np.diag([1.0, -1.0, 1.0]), {"legs": [[0, 1], [1, 0]]})])
LEGS = EntitySet("legs", ("leg", "leg"))
POINT = [Field("position", "1x1o"), Field("speed", "2x0e")]


# ------------------------------------------------------------------ as an environment
def test_nothing_but_the_spaces_changes():
    plain, typed = gymnasium.make("Ant-v5"), with_symmetry(gymnasium.make("Ant-v5"))
    a, b = plain.reset(seed=3), typed.reset(seed=3)
    assert np.array_equal(a[0], b[0])
    action = np.linspace(-1, 1, 8).astype(np.float32)
    for _ in range(5):
        one, other = plain.step(action), typed.step(action)
        assert np.array_equal(one[0], other[0])
        assert one[1:3] == other[1:3]
    assert typed.unwrapped.observation_space == plain.observation_space
    assert np.array_equal(typed.observation_space.low, plain.observation_space.low)
    assert typed.observation_space.dtype == plain.observation_space.dtype
    assert np.array_equal(typed.action_space.high, plain.action_space.high)


def test_typing_leaves_the_environment_where_it_was(tmp_path):
    """Trials happen on a twin: neither the state nor the random numbers of the environment move."""
    from bare_robots import Crawler

    from eqrl import infer_types

    env = Crawler()
    env.reset(seed=5)
    state, random = env.data.qpos.copy(), env.np_random.bit_generator.state
    infer_types(env, samples=64)
    assert np.array_equal(env.data.qpos, state)
    assert env.np_random.bit_generator.state == random


@pytest.mark.parametrize("name", ["Ant-v5", "Walker2d-v5", "Reacher-v5", "Pendulum-v1", "CartPole-v1"])
@pytest.mark.filterwarnings("ignore:.*We recommend you to use a symmetric and normalized:UserWarning")
def test_the_checks_of_sb3_pass(name):
    check_env(with_symmetry(gymnasium.make(name)))


@pytest.mark.filterwarnings("ignore:.*is different from the unwrapped version:UserWarning")
@pytest.mark.filterwarnings("ignore:.*Box observation space m:UserWarning")
def test_the_check_of_gymnasium_passes():
    from gymnasium.utils.env_checker import check_env as check

    check(with_symmetry(gymnasium.make("Ant-v5")), skip_render_check=True)


def test_an_environment_is_made_again_from_its_spec():
    env = with_symmetry(gymnasium.make("Ant-v5", include_cfrc_ext_in_observation=False), group="sagittal mirror")
    again = gymnasium.make(gymnasium.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert again.observation_space == env.observation_space
    assert again.action_space == env.action_space
    assert again.observation_space.representation.group.order == 2


def test_types_survive_wrappers_vectors_and_pickle():
    env = Monitor(gymnasium.wrappers.TimeLimit(with_symmetry(gymnasium.make("Swimmer-v5")), 10))
    vector = DummyVecEnv([lambda: env])
    assert representation_of(vector.observation_space).group.order == 2
    space = pickle.loads(pickle.dumps(vector.observation_space))
    assert space == vector.observation_space


@pytest.mark.parametrize("make", [lambda: DummyVecEnv([lambda: Plain()]), lambda: gymnasium.make_vec("CartPole-v1", 2)])
def test_a_vector_of_environments_is_refused(make):
    with pytest.raises(DeclarationError, match="before it is vectorised"):
        with_symmetry(make())


@pytest.mark.parametrize(
    "wrapper",
    [
        gymnasium.wrappers.NormalizeObservation,
        gymnasium.wrappers.TimeAwareObservation,
        lambda e: gymnasium.wrappers.FrameStackObservation(e, 2),
    ],
)
def test_a_wrapper_that_rewrites_observations_is_refused(wrapper):
    """Ready-made types would silently be wrong for what it makes of them."""
    with pytest.raises(DeclarationError, match="Observation rewrites observations or actions of SwimmerEnv"):
        with_symmetry(wrapper(gymnasium.make("Swimmer-v5")))


def test_rescaled_actions_keep_their_symmetry():
    env = with_symmetry(
        gymnasium.wrappers.RescaleAction(gymnasium.make("Pendulum-v1"), np.float32([-1]), np.float32([1]))
    )
    assert env.action_space.high.tolist() == [1.0]
    with pytest.raises(BreaksSymmetryError):
        with_symmetry(gymnasium.wrappers.RescaleAction(gymnasium.make("Pendulum-v1"), np.float32([0]), np.float32([1])))


def test_typing_twice_is_harmless():
    env = with_symmetry(with_symmetry(gymnasium.make("Ant-v5")), group="sagittal mirror")
    assert env.types.group.order == 2


# ------------------------------------------------------------------ which group
def test_generators_are_chosen_by_name():
    env = with_symmetry(gymnasium.make("Ant-v5"), group=["quarter turn about z"])
    assert env.types.group.name == "C4 with quaternion signs"
    with pytest.raises(DeclarationError, match="did you mean 'sagittal mirror'"):
        with_symmetry(gymnasium.make("Ant-v5"), group="saggital mirror")
    with pytest.raises(DeclarationError, match="approximate=True"):
        with_symmetry(gymnasium.make("Humanoid-v5"), group="sagittal mirror")


def test_discrete_actions_leave_the_observation_typed():
    env = with_symmetry(gymnasium.make("CartPole-v1"))
    assert isinstance(env.observation_space, TypedBox)
    assert isinstance(env.action_space, Discrete)
    assert any("Discrete(2)" in note for note in env.types.notes)


# ------------------------------------------------------------------ declarations
def test_fields_become_typed_spaces():
    env = with_symmetry(Plain(), POINT, [Field("force", "1x1o", horizontal=True)], group="SO2")
    assert env.observation_space.representation.group == SO2
    assert list(env.observation_space.representation.slices) == ["position", "speed"]
    assert env.action_space.representation.field("force").horizontal


def test_fields_over_entities():
    fields = [Field("height", "1x0e"), Field("leg", "2x0e", entities="legs")]
    env = with_symmetry(Plain(), fields, [Field("torque", "1x0e", entities="legs")], group=MIRROR, entities=[LEGS])
    ((_, mirror),) = env.types.group.generators
    moved = env.observation_space.representation.transform(np.arange(5.0), mirror)
    assert moved.tolist() == [0.0, 3.0, 4.0, 1.0, 2.0]


def test_representations_bring_their_group():
    rep = Representation(tuple(POINT), group=SO2)
    env = with_symmetry(Plain(), rep, Representation((Field("force", "1x1o", horizontal=True),), group=SO2))
    assert env.types.group == SO2


def test_a_dict_observation_is_declared_by_entry():
    env = Plain()
    env.observation_space = Dict({"goal": Box(-9, 9, (3,), np.float32), "body": Box(-9, 9, (5,), np.float32)})
    typed = with_symmetry(env, {"goal": [Field("goal", "1x1o")], "body": POINT}, [Field("a", "2x0e")], group="SO2")
    assert representation_of(typed.observation_space).dim == 8
    with pytest.raises(DeclarationError, match="nothing describes the entry 'body'"):
        with_symmetry(env, {"goal": [Field("goal", "1x1o")]}, [Field("a", "2x0e")], group="SO2")
    with pytest.raises(DeclarationError, match=r"no entry 'gaol'.*did you mean 'goal'"):
        with_symmetry(env, {"gaol": [], "goal": [], "body": POINT}, [Field("a", "2x0e")], group="SO2")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (POINT[:1], r"describe 3 of 5 entries; nothing describes entry 3 .*2 in all.*'position', ends there"),
        (
            [*POINT, Field("more", "3x0e")],
            r"describe 8 entries, but the space has 5; field 'more' begins at entry 5 and needs 3, where 0",
        ),
        ([Field("v", "2x1o")], r"field 'v' begins at entry 0 and needs 6, where 5"),
        ([], r"describe 0 of 5 entries; nothing describes entry 0"),
        (["position"], r"'position' is not a Field"),
        ([Field("leg", "5x0e", entities="legs")], r"repeats over 'legs', but the entity sets are \[\]"),
        ([Field("a", "3x0e"), Field("a", "2x0e")], r"\['a'\] occur twice"),
    ],
)
def test_fields_that_do_not_fit_are_named(fields, message):
    with pytest.raises(DeclarationError, match=message):
        with_symmetry(Plain(), fields, [Field("a", "2x0e")], group="SO2")


def test_a_gap_is_named_by_the_structure():
    env = gymnasium.make("Hopper-v5")
    with pytest.raises(DeclarationError, match=r"entry 5 \(qvel\[0\]\)"):
        with_symmetry(env, [Field("positions", "5x0e")], [Field("a", "3x0e")], group="O2")


def test_actions_have_to_be_declared_too():
    with pytest.raises(DeclarationError, match="not how the action of size"):
        with_symmetry(Plain(), POINT, group="SO2")
    with pytest.raises(DeclarationError, match="declare both"):
        with_symmetry(Plain(), action=[Field("a", "2x0e")])
    with pytest.raises(DeclarationError, match="only a Box can be typed; leave action= out"):
        with_symmetry(Plain(actions=Discrete(3)), POINT, [Field("a", "3x0e")], group="SO2")
    assert with_symmetry(Plain(actions=Discrete(3)), POINT, group="SO2").types.action is None


def test_bounds_that_a_group_does_not_keep_are_refused():
    legs = {"group": MIRROR, "entities": [LEGS]}
    with pytest.raises(BreaksSymmetryError, match="equal bounds"):
        with_symmetry(
            Plain(low=np.array([-1, -2], np.float32), high=np.array([1, 2], np.float32), actions=2),
            [Field("leg", "1x0e", entities="legs"), Field("rest", "3x0e")],
            [Field("torque", "1x0e", entities="legs")],
            **legs,
        )
    with pytest.raises(BreaksSymmetryError, match="not a ball"):
        with_symmetry(Plain(low=0.0), POINT, [Field("force", "1x1o", horizontal=True)], group="SO2")


@pytest.mark.parametrize(
    ("group", "message"),
    [("SO4", "unknown group 'SO4'; did you mean 'SO3'"), (3, "is not a group"), (["SO2"], "is not a group")],
)
def test_an_unknown_group_is_named(group, message):
    with pytest.raises(DeclarationError, match=message):
        with_symmetry(Plain(), POINT, [Field("a", "2x0e")], group=group)


def test_a_group_without_fields_is_refused():
    with pytest.raises(DeclarationError, match="without observation="):
        with_symmetry(gymnasium.make("Ant-v5"), group=SO2)


def test_a_frame_has_three_axes():
    group = finite_group("C2", [Generator.of("mirror", None, {"legs": [[0, 1], [1, 0]]})])
    with pytest.raises(DeclarationError, match="a body has 3 axes"):
        with_symmetry(
            Plain(), [Field("w", "1x1e", frame="legs"), Field("r", "2x0e")], [Field("a", "2x0e")], group=group
        )


def test_an_unknown_environment_says_what_to_do():
    with pytest.raises(
        DeclarationError, match=r"nothing is known about Plain.*with_symmetry\(env, infer_types\(env\)\)"
    ):
        with_symmetry(Plain())


def test_what_is_typed_already_says_so():
    with pytest.raises(DeclarationError, match="eqrl/Reach-v0 is typed already, with group O3"):
        with_symmetry(gymnasium.make("eqrl/Reach-v0"))


def test_no_symmetry_is_a_warning():
    with pytest.warns(SymmetryWarning, match="the group is trivial|no symmetry"):
        with_symmetry(Plain(), [Field("all", "5x0e")], [Field("a", "2x0e")])


def _space(**spaces):
    return gymnasium.spaces.Dict(spaces)


_VECTOR = gymnasium.spaces.Box(-1, 1, (3,))


@pytest.mark.parametrize(
    ("space", "observation", "message"),
    [
        (
            _space(robot=_space(arm=_VECTOR, hand=_VECTOR), goal=_VECTOR),
            {},
            r"\['robot'\] is a Dict.*robot/arm \(3\), then robot/hand",
        ),
        (
            _space(pair=gymnasium.spaces.Tuple((_VECTOR, _VECTOR)), goal=_VECTOR),
            {},
            r"\['pair'\] is a Tuple.*pair\[0\] \(3\)",
        ),
        (
            gymnasium.spaces.Tuple((_VECTOR, _space(a=_VECTOR))),
            None,
            r"a Tuple of 2 spaces.*FlattenObservation.*\[1\]/a \(3\)",
        ),
        (gymnasium.spaces.Tuple((_VECTOR, _space(a=_VECTOR))), {}, r"a Tuple of 2 spaces.*FlattenObservation"),
        (
            _space(eye=gymnasium.spaces.Box(0, 255, (8, 8, 3), np.uint8), goal=_VECTOR),
            {},
            r"\['eye'\] is an image.*FilterObservation",
        ),
        (
            _space(gear=gymnasium.spaces.Discrete(4), goal=_VECTOR),
            {},
            r"\['gear'\] is Discrete\(4\).*flatten it to a Box of ones",
        ),
        (gymnasium.spaces.MultiDiscrete([2, 3]), None, r"observation is MultiDiscrete.*FlattenObservation"),
        (_space(a=_VECTOR, b=_VECTOR), None, r"a Dict with several entries.*'a': \[...\], 'b': \[...\]"),
    ],
)
def test_spaces_that_fields_cannot_describe_are_refused_with_key_and_fix(space, observation, message):
    class Shaped(gymnasium.Env):
        observation_space = space
        action_space = _VECTOR

    fields = [Field("v", "1x1o")]
    keys = space.spaces if isinstance(space, gymnasium.spaces.Dict) else ("x",)
    declared = fields if observation is None else dict.fromkeys(keys, fields)
    with pytest.raises(DeclarationError, match=message):
        with_symmetry(Shaped(), observation=declared, action=fields, group="O3")


def test_nested_dicts_are_typed_after_flattening():
    class Nested(gymnasium.Env):
        observation_space = _space(goal=_VECTOR, robot=_space(arm=_VECTOR))
        action_space = _VECTOR

    flat = gymnasium.wrappers.FlattenObservation(Nested())
    env = with_symmetry(
        flat, observation=[Field("goal", "1x1o"), Field("arm", "1x1o")], action=[Field("v", "1x1o")], group="O3"
    )
    assert env.observation_space.representation.dim == 6


@pytest.mark.parametrize(
    "space", [gymnasium.spaces.MultiDiscrete([2, 2]), gymnasium.spaces.Tuple((_VECTOR,)), _space(a=_VECTOR)]
)
def test_actions_that_fields_cannot_describe_are_refused(space):
    class Acting(gymnasium.Env):
        observation_space = _VECTOR
        action_space = space

    with pytest.raises(DeclarationError, match="make the actions one flat Box"):
        with_symmetry(Acting(), observation=[Field("v", "1x1o")], group="O3")
