"""Copies of environments that keep their simulation in one place or another."""

import dataclasses
import types

import gymnasium
import mujoco
import numpy as np
import pytest
from gymnasium.spaces import Box

from eqrl import infer_types
from eqrl.declare import DeclarationError
from eqrl.proof.declared.copies import copy_environment

XML = """<mujoco><option gravity="0 0 0"/><worldbody><body name="cart">
  <joint name="x" type="slide" axis="1 0 0" damping="1"/>
<joint name="y" type="slide" axis="0 1 0" damping="1"/><geom size=".1"/></body></worldbody>
<actuator><motor joint="x"/><motor joint="y"/></actuator></mujoco>"""


def simulation():
    model = mujoco.MjModel.from_xml_string(XML)
    return model, mujoco.MjData(model)


class Base(gymnasium.Env):
    """A cart in a plane; subclasses say where its simulation is."""

    observation_space = Box(-np.inf, np.inf, (4,), np.float64)
    action_space = Box(-1.0, 1.0, (2,), np.float32)

    def sim(self):
        return self.model, self.data

    def _get_obs(self):
        _, data = self.sim()
        return np.concatenate([data.qpos, data.qvel])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        model, data = self.sim()
        mujoco.mj_resetData(model, data)
        data.qpos[:] = self.np_random.normal(size=2)
        return self._get_obs(), {}

    def step(self, action):
        model, data = self.sim()
        data.ctrl[:] = action
        mujoco.mj_step(model, data)
        return self._get_obs(), -float(np.square(data.qpos).sum()), False, False, {}


class Hidden(Base):
    def __init__(self):
        self._model, self._data = simulation()

    def sim(self):
        return self._model, self._data


class Physics:
    __slots__ = ("_data", "_model", "positions")

    def __init__(self):
        self._model, self._data = simulation()
        self.positions = self._data.qpos  # a window on the simulation

    data = property(lambda self: self._data)
    model = property(lambda self: self._model)


class WithPhysics(Base):
    def __init__(self):
        self.physics = Physics()

    def sim(self):
        return self.physics.model, self.physics.data

    def _get_obs(self):
        return np.concatenate([self.physics.positions, self.physics.data.qvel])


@dataclasses.dataclass(frozen=True)
class Robot:
    model: mujoco.MjModel
    data: mujoco.MjData


class OfParts(Base):
    def __init__(self):
        self.parts = {"robots": [Robot(*simulation())]}

    def sim(self):
        robot = self.parts["robots"][0]
        return robot.model, robot.data


class Around(Base):
    """Holds another environment, and shows its simulation through properties."""

    def __init__(self):
        self.env = Hidden()

    model = property(lambda self: self.env._model)
    data = property(lambda self: self.env._data)


class Closed(Base):
    """Reaches the simulation through a function that remembers it."""

    def __init__(self):
        model, data = simulation()
        self.sim = lambda: (model, data)


class Plain(Base):
    def __init__(self):
        holder = types.SimpleNamespace(sim=simulation())
        self.holder, self.cart = holder, holder.sim[1].body("cart")

    def sim(self):
        return self.holder.sim

    def _get_obs(self):
        return np.concatenate([self.cart.xpos[:2], self.sim()[1].qvel])


@pytest.mark.parametrize("kind", [Hidden, WithPhysics, OfParts, Around, Closed, Plain])
def test_types_are_inferred_wherever_the_simulation_is(kind):
    env = kind()
    env.reset(seed=0)
    before = [a.copy() for a in (env.sim()[1].qpos, env.sim()[1].qvel)]
    group = infer_types(env).group
    assert group.order == 8  # the square of the two axes
    assert all(np.array_equal(a, b) for a, b in zip(before, (env.sim()[1].qpos, env.sim()[1].qvel), strict=True))


def test_a_twin_moves_alone_and_has_its_own_random_numbers():
    env = WithPhysics()
    env.reset(seed=3)
    state, place = env.np_random.bit_generator.state, env.physics.data.qpos.copy()
    twin, data = copy_environment(env)
    assert twin.physics.data is data
    assert data.model is not env.physics.model
    twin.reset(seed=4)
    for _ in range(5):
        twin.step(np.ones(2))
    assert np.array_equal(twin.physics.positions, data.qpos)
    assert np.array_equal(env.physics.data.qpos, place)
    assert env.np_random.bit_generator.state == state


def test_a_simulation_that_the_class_holds_is_refused_in_words():
    class Shared(Base):
        model, data = simulation()

    with pytest.raises(DeclarationError, match=r"`data` of Shared is not held by the environment itself"):
        infer_types(Shared())


def test_two_simulations_are_told_by_where_they_are():
    class Two(Base):
        def __init__(self):
            self.left, self.right = Robot(*simulation()), Robot(*simulation())

    with pytest.raises(DeclarationError, match=r"holds 2 MuJoCo simulations \(env.left.data, env.right.data\)"):
        infer_types(Two())


def test_attributes_that_refer_to_each_other_are_copied_once():
    env = Around()
    env.env.owner, env.history = env, [env.env]
    twin, _ = copy_environment(env)
    assert twin.env.owner is twin
    assert twin.history[0] is twin.env
    assert twin.env is not env.env
