"""Declarations from outside, held against the simulation.

Right ones pass, wrong ones are refused with field and cause.
"""

import re
from dataclasses import replace

import gymnasium
import mujoco
import numpy as np
import pytest
from gymnasium.spaces import Box
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

from eqrl import check_environment, verify, with_symmetry
from eqrl.symmetry import EntitySet, Field, Generator, Group, SymmetryError, TypedBox, UntypedSpaceError

QUICK = {"steps": 8, "episodes": 1}
Y = np.diag([1.0, -1.0, 1.0])
SWAP = [[0.0, 1.0], [1.0, 0.0]]
# one wheel on either side, each hinged about the axle: axial along y, which the mirror keeps
XML = """<mujoco><option cone="elliptic"/><worldbody><geom type="plane" size="0 0 1"/><body name="cart" pos="0 0 .2">
  <freejoint/>
<geom type="box" size=".2 .1 .05"/><geom type="sphere" size=".05" pos=".2 0 .05"/>
<body pos="0 .15 0"><joint name="left" axis="0 1 0" damping=".1"/><geom type="sphere" size=".1"/></body>
<body pos="0 -.15 0"><joint name="right" axis="0 1 0" damping=".1"/><geom type="sphere" size=".1"/></body>
  </body>{more}</worldbody>
<actuator><motor joint="left" gear="2"/><motor joint="right" gear="{gear}"/></actuator></mujoco>"""


class Cart(gymnasium.Env):
    """A cart on two wheels that is driven to a point."""

    action_space = Box(-1.0, 1.0, (2,), np.float32)

    def __init__(self, gear=2, more=""):
        self.model = mujoco.MjModel.from_xml_string(XML.format(gear=gear, more=more))
        self.data = mujoco.MjData(self.model)
        self.goal, self.last = np.ones(2), np.zeros(2)
        self.observation_space = Box(-np.inf, np.inf, (len(self._get_obs()),), np.float64)

    def _get_obs(self):
        d = self.data
        R = d.body("cart").xmat.reshape(3, 3)
        to_goal = self.goal - d.qpos[:2]
        return np.concatenate([R[2], d.qvel[:3], R.T @ d.qvel[:3], d.qvel[3:6], d.qvel[6:8], to_goal, self.last])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        mujoco.mj_resetData(self.model, self.data)
        self.data.qvel[:] = 0.2 * self.np_random.normal(size=self.model.nv)
        self.goal, self.last = self.np_random.normal(size=2), np.zeros(2)
        mujoco.mj_forward(self.model, self.data)
        return self._get_obs(), {}

    def step(self, action):
        self.data.ctrl[:] = action
        self.last = np.array(action, dtype=np.float64)
        mujoco.mj_step(self.model, self.data, nstep=5)
        return self._get_obs(), -float(np.linalg.norm(self.goal - self.data.qpos[:2])), False, False, {}


FIELDS = {
    "gravity": Field("gravity", "1x1o", frame="cart"),
    "velocity": Field("velocity", "1x1o"),
    "own velocity": Field("own velocity", "1x1o", frame="cart"),
    "gyro": Field("gyro", "1x1e", frame="cart"),
    "wheels": Field("wheels", "1x0e", entities="wheels"),
    "to_goal": Field("to_goal", "1x1o", horizontal=True),
    "last": Field("last", "1x0e", entities="wheels"),
}
MIRROR = Generator.of("mirror", Y, {"wheels": SWAP, "cart": Y})


def cart(env=None, torque="1x0e", generator=MIRROR, **changes):
    fields = [replace(f, **changes.get(name.replace(" ", "_"), {})) for name, f in FIELDS.items()]
    return with_symmetry(
        env or Cart(),
        observation=fields,
        action=[Field("torque", torque, entities="wheels")],
        group=Group("SO2 x C2", "SO2", (generator,)),
        entities=[EntitySet("wheels", ("wheel",) * 2)],
    )


def refusal(env):
    with pytest.raises(SymmetryError) as caught:
        check_environment(env, **QUICK)
    return caught.value.field, str(caught.value)


def test_both_checks_say_the_same():
    env = cart(gyro={"irreps": "1x1o"})
    field, text = refusal(env)
    rotation, mirror = verify(env, states=4, steps=(1, 8))
    assert rotation.holds
    assert (mirror.field, mirror.step, mirror.cause.id) == (field, 0, "axial vector treated as polar")
    assert mirror.cause.fix in text


def test_a_right_declaration_passes_with_a_goal_and_a_last_action_that_only_python_knows():
    env = cart()
    assert [r.name for r in check_environment(env, **QUICK)] == ["rotation about gravity", "mirror"]
    assert verify(env, states=4, steps=(1, 8)).holds


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"gyro": {"irreps": "1x1o"}}, "observation gyro", "axial vector treated as polar; declare field gyro as 1x1e"),
        ({"gravity": {"irreps": "1x1e"}}, "observation gravity", "polar vector treated as axial"),
        ({"wheels": {"irreps": "1x0o"}}, "observation wheels", "declare field wheels as 1x0e instead of 1x0o"),
        ({"velocity": {"frame": "cart"}}, "observation velocity", "wrong frame of field velocity.*the world's axes"),
        ({"own_velocity": {"frame": "world"}}, "observation own velocity", "wrong frame.*declare frame='cart'"),
        ({"torque": "1x0o"}, "action torque", "declare field torque as 1x0e"),
        (
            {"generator": Generator.of("mirror", Y, {"cart": Y})},
            "observation wheels",
            "wrong permutation.*entity set 'wheels'",
        ),
        (
            {"generator": Generator.of("mirror", Y, {"wheels": [[0, -1], [-1, 0]], "cart": Y})},
            "observation wheels",
            "declare field wheels as 1x0o|wrong sign",
        ),
    ],
)
def test_a_slip_is_refused_with_its_field_and_its_cause(changes, field, words):
    named, text = refusal(cart(**changes))
    assert named == field
    assert re.search(words, text), text


def test_fields_in_another_order_are_told():
    env = Cart()
    order = ["gravity", "velocity", "own velocity", "gyro", "last", "to_goal", "wheels"]
    fields = [FIELDS[name] for name in order]
    fields[4], fields[6] = replace(fields[4], irreps="1x0e"), replace(fields[6], irreps="1x0e")
    fields[1], fields[3] = replace(FIELDS["gyro"], name="gyro"), replace(FIELDS["velocity"], name="velocity")
    typed = with_symmetry(
        env,
        observation=fields,
        action=[Field("torque", "1x0e", entities="wheels")],
        group=Group("SO2 x C2", "SO2", (MIRROR,)),
        entities=[EntitySet("wheels", ("wheel",) * 2)],
    )
    assert refusal(typed)[0] == "observation gyro"


def test_a_symmetry_that_the_model_has_not_is_refused_by_name():
    post = '<geom type="box" size=".1 .1 1" pos="2 0 0"/>'
    field, text = refusal(cart(Cart(more=post)))
    assert field == "model"
    assert "the model does not have 'rotation about gravity'" in text
    aside = '<geom type="box" size=".1 .1 1" pos="0.3 2 0" euler="0 0 20"/>'
    causes = [v.cause.id for v in verify(cart(Cart(more=aside)), states=4, steps=(1,))]
    assert causes == ["the model does not have 'rotation about gravity'", "the model does not have 'mirror'"]


def test_a_mirror_that_needs_a_turn_of_the_world_moves_the_body_as_the_other_does():
    """The world's x -> -x is y -> -y and half a turn, so that the body's axes go as under y -> -y."""
    flip = np.diag([-1.0, 1.0, 1.0])
    assert check_environment(cart(generator=Generator.of("ahead", flip, {"wheels": SWAP, "cart": Y})), **QUICK)
    field, text = refusal(cart(generator=Generator.of("ahead", flip, {"wheels": SWAP, "cart": flip})))
    assert field == "observation gravity"
    assert "entry 1 is -entry 1" in text


def test_a_symmetry_that_the_model_nearly_has_is_refused_with_what_differs():
    field, text = refusal(cart(Cart(gear=2.2)))
    assert field == "model"
    assert "only nearly" in text
    assert "gear" in text


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda env: gymnasium.wrappers.TimeLimit(env, 50),
        lambda env: Monitor(gymnasium.wrappers.RecordEpisodeStatistics(env)),
        lambda env: DummyVecEnv([lambda: env]),
        lambda env: cart(gymnasium.wrappers.OrderEnforcing(gymnasium.wrappers.TimeLimit(env.unwrapped, 9))),
    ],
)
def test_wrappers_on_top_and_below_do_not_hide_a_declaration(wrapped):
    env = wrapped(cart())
    assert len(check_environment(env, **QUICK)) == 2


def test_a_wrapper_on_top_that_changes_what_is_seen_is_checked_too():
    env = cart()
    assert check_environment(gymnasium.wrappers.TransformObservation(env, lambda x: 2.0 * x, None), **QUICK)
    crooked = gymnasium.wrappers.TransformObservation(env, lambda x: x * np.arange(1, len(x) + 1), None)
    assert refusal(crooked)[0] == "observation velocity"


def test_a_wrapper_below_that_computes_features_is_part_of_what_is_checked():
    class Halves(gymnasium.ActionWrapper):
        def action(self, action):
            return 0.5 * np.asarray(action)

    assert check_environment(cart(Halves(Cart())), **QUICK)


def test_dict_observations_are_checked_by_key():
    class Parts(Cart):
        def __init__(self):
            super().__init__()
            box = Box(-np.inf, np.inf, (3,), np.float64)
            self.observation_space = gymnasium.spaces.Dict({"velocity": box, "gyro": box})

        def _get_obs(self):
            return {"velocity": self.data.qvel[:3].copy(), "gyro": self.data.qvel[3:6].copy()}

    def typed(gyro):
        return with_symmetry(
            Parts(),
            observation={"velocity": [FIELDS["velocity"]], "gyro": [replace(FIELDS["gyro"], irreps=gyro)]},
            action=[Field("torque", "1x0e", entities="wheels")],
            group=Group("SO2 x C2", "SO2", (MIRROR,)),
            entities=[EntitySet("wheels", ("wheel",) * 2)],
        )

    assert check_environment(typed("1x1e"), **QUICK)
    assert refusal(typed("1x1o"))[0] == "observation gyro/gyro"


def test_boxes_that_the_class_itself_types_are_checked_too():
    right = cart()

    class Own(Cart):
        def __init__(self, observation):
            super().__init__()
            self.observation_space, self.action_space = observation, right.action_space

    assert check_environment(Own(right.observation_space), **QUICK)
    wrong = TypedBox(cart(gyro={"irreps": "1x1o"}).observation_space.representation, dtype=np.float64)
    assert refusal(Own(wrong))[0] == "observation gyro"


def test_the_environment_itself_is_neither_stepped_nor_reset():
    bare = Cart()
    bare.reset(seed=1)
    before = bare.data.qpos.copy(), bare.goal.copy(), bare.np_random.bit_generator.state
    env = Monitor(cart(bare))
    check_environment(env, **QUICK)
    assert np.array_equal(bare.data.qpos, before[0])
    assert np.array_equal(bare.goal, before[1])
    assert bare.np_random.bit_generator.state == before[2]
    assert env.get_episode_rewards() == []


def test_what_cannot_be_checked_is_said_and_never_called_untyped():
    with pytest.raises(TypeError, match=r"no MuJoCo simulation.*SymmetricWorld") as caught:
        check_environment(with_symmetry(gymnasium.make("Pendulum-v1")))
    assert not isinstance(caught.value, UntypedSpaceError)
    with pytest.raises(TypeError, match=r"CartPoleEnv cannot be checked.*actions are Discrete\(2\)"):
        verify(with_symmetry(gymnasium.make("CartPole-v1")))

    class Noisy(Cart):
        def _get_obs(self):
            return super()._get_obs() + np.random.default_rng().normal(size=18)

    with pytest.raises(TypeError, match="observation gravity depends on more than the simulation's state"):
        check_environment(cart(Noisy()))
    with pytest.raises(UntypedSpaceError, match="with_symmetry"):
        check_environment(Cart())


@pytest.mark.parametrize("name", ["Walker2d-v5", "Reacher-v5", "Swimmer-v5"])
def test_ready_made_types_are_checked_as_declared(name):
    env = with_symmetry(gymnasium.make(name))
    assert check_environment(env, **QUICK)
    rep = env.types.observation
    which = next(f for f in rep.fields if f.entities)
    group = rep.group
    generator = group.finite[0]
    h = {k: np.array(m) for k, m in generator.h}
    h[which.entities] = -h[which.entities]
    wrong = Group(group.name, "1", (Generator.of(generator.name, np.array(generator.R), h),))
    bad = with_symmetry(
        gymnasium.make(name), observation=rep.with_group(wrong), action=env.types.action.with_group(wrong)
    )
    field = refusal(bad)[0]
    over = {f"observation {f.name}" for f in rep.fields if f.entities == which.entities}
    assert field in over | {f"action {f.name}" for f in env.types.action.fields if f.entities == which.entities}


def test_an_approximate_symmetry_is_refused_with_what_differs():
    field, text = refusal(with_symmetry(gymnasium.make("Humanoid-v5"), approximate=True))
    assert field == "model"
    assert "right_knee stiffness" in text


@pytest.mark.parametrize(("angular", "passes"), [("1x1e", True), ("1x1o", False)])
def test_an_environment_of_eqrl_that_is_declared_again_is_checked_as_declared_last(angular, passes):
    env = gymnasium.make("eqrl/AntTarget-v0")
    rep = env.observation_space.representation
    fields = tuple(replace(f, irreps=angular) if f.name == "angular_velocity" else f for f in rep.fields)
    typed = with_symmetry(env, observation=replace(rep, fields=fields), action=env.action_space.representation)
    if passes:
        assert check_environment(typed, **QUICK)
    else:
        field, text = refusal(typed)
        assert field == "observation angular_velocity"
        assert "axial vector treated as polar" in text
