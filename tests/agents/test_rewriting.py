"""Wrappers that rewrite numbers and keep the typed space are refused, wherever a policy of eqrl can meet them."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium import wrappers
from stable_baselines3 import PPO, SAC, TD3
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    SubprocVecEnv,
    VecCheckNan,
    VecEnvWrapper,
    VecExtractDictObs,
    VecMonitor,
    VecNormalize,
)
from toy_envs import PointMass, Reach

import eqrl
from eqrl import check_policy
from eqrl.agents import (
    BreaksSymmetryError,
    EquivariantPolicy,
    EquivariantSACPolicy,
    EquivariantTD3Policy,
    RandomRotation,
)
from eqrl.symmetry import TypedBox

ON = {"n_steps": 16, "batch_size": 16, "n_epochs": 1, "device": "cpu", "seed": 0}
OFF = {"learning_starts": 10, "buffer_size": 100, "batch_size": 8, "device": "cpu", "seed": 0}


def batch(env=PointMass, n=2):
    return DummyVecEnv([env] * n)


def small(**options):
    return {"policy_kwargs": {"net_arch": [8], **options}}  # anew, since SB3 writes into it


def ppo(env, **options):
    return PPO(EquivariantPolicy, env, **ON, **small(**options))


# ------------------------------------------------------------------ the ways in which an environment reaches an
# algorithm
@pytest.mark.parametrize("env", [PointMass, Reach])
@pytest.mark.parametrize(
    ("algorithm", "policy", "options"),
    [(PPO, EquivariantPolicy, ON), (SAC, EquivariantSACPolicy, OFF), (TD3, EquivariantTD3Policy, OFF)],
)
def test_normalised_observations_are_refused_on_every_way(algorithm, policy, options, env, tmp_path):
    with pytest.raises(BreaksSymmetryError, match="norm_obs=False"):
        algorithm(policy, VecNormalize(batch(env)), **options, **small())
    model = algorithm(policy, VecNormalize(batch(env), norm_obs=False), **options, **small())
    model.learn(32)
    model.save(tmp_path / "model")
    with pytest.raises(BreaksSymmetryError, match="norm_obs=False"):
        algorithm.load(tmp_path / "model", env=VecNormalize(batch(env)))
    for later in (model, algorithm.load(tmp_path / "model"), algorithm.load(tmp_path / "model", env=batch(env))):
        later.n_envs = 2
        later.set_env(VecNormalize(batch(env)))
        steps = later.num_timesteps
        with pytest.raises(BreaksSymmetryError, match="norm_obs=False"):
            later.learn(32, reset_num_timesteps=False)
        assert later.num_timesteps == steps
    model.set_env(batch(env))
    model.learn(32)


def test_tqc():
    contrib = pytest.importorskip("sb3_contrib")
    from eqrl.agents import EquivariantTQCPolicy

    with pytest.raises(BreaksSymmetryError, match="norm_obs=False"):
        contrib.TQC(EquivariantTQCPolicy, VecNormalize(batch()), **OFF, **small())


def test_one_key_of_a_dict_is_enough():
    with pytest.raises(BreaksSymmetryError, match="norm_obs=False"):
        ppo(VecNormalize(batch(Reach), norm_obs_keys=["desired_goal"]))


def test_a_policy_without_symmetry_has_none_to_lose():
    ppo(VecNormalize(batch()), network="mlp").learn(32)


def test_batches_of_eqrl_too():
    with pytest.raises(BreaksSymmetryError, match="norm_obs=False"):
        ppo(VecNormalize(eqrl.make_vec("eqrl/Reach-v0", 2, n_threads=1)))
    ppo(RandomRotation(eqrl.make_vec("eqrl/Reach-v0", 2, n_threads=1)))


# ------------------------------------------------------------------ wrappers of single environments
class Stretched(gymnasium.ObservationWrapper):
    def observation(self, observation):
        return observation * np.linspace(1.0, 2.0, len(observation)).astype(np.float32)


class ClippedInStep(gymnasium.Wrapper):
    """A plain wrapper, whose type does not tell what it rewrites."""

    def reset(self, **kwargs):
        observation, info = self.env.reset(**kwargs)
        return np.clip(observation, -50.0, 50.0), info

    def step(self, action):
        observation, *rest = self.env.step(action)
        return (np.clip(observation, -50.0, 50.0), *rest)


class NeedsTheWorld(gymnasium.ObservationWrapper):
    """Cannot be tried, because it needs the real environment."""

    def observation(self, observation):
        raise RuntimeError("no world")


class Biased(gymnasium.ActionWrapper):
    def action(self, action):
        return action + np.float32(0.1)


class Declared(Stretched):
    """Its author declares how the new observation turns."""

    def __init__(self, env):
        super().__init__(env)
        self.observation_space = TypedBox(env.unwrapped.observation_space.representation)


class Logged(gymnasium.ObservationWrapper):
    """Reads the numbers and changes nothing."""

    def __init__(self, env):
        super().__init__(env)
        self.seen = []

    def observation(self, observation):
        self.seen.append(observation)
        return observation


class Shaped(gymnasium.Wrapper):
    """Computes a new reward from the action and the observation."""

    def step(self, action):
        observation, reward, *rest = self.env.step(action)
        return observation, float(reward) - float(np.square(action).sum()), *rest


class WithMask(gymnasium.ObservationWrapper):
    """Adds an entry to a dict, and scales the others by a factor."""

    def __init__(self, env, factor=1.0):
        super().__init__(env)
        self.factor = factor
        extra = TypedBox(env.observation_space["desired_goal"].representation)
        self.observation_space = gymnasium.spaces.Dict({**env.observation_space.spaces, "copy": extra})

    def observation(self, observation):
        scaled = {key: self.factor * value for key, value in observation.items()}
        return {**scaled, "copy": observation["desired_goal"]}


def shifted(env):
    return wrappers.TransformObservation(env, lambda observation: observation + 1, env.observation_space)


REWRITING = {
    "NormalizeObservation": lambda: wrappers.NormalizeObservation(PointMass()),
    "within others": lambda: Monitor(wrappers.TimeLimit(wrappers.NormalizeObservation(PointMass()), 10)),
    "function, no space": lambda: wrappers.TransformObservation(PointMass(), lambda o: np.tanh(o), None),
    "function, same space": lambda: shifted(PointMass()),
    "own": lambda: Stretched(PointMass()),
    "own, in step": lambda: ClippedInStep(PointMass()),
    "cannot be tried": lambda: NeedsTheWorld(PointMass()),
    "below a harmless one": lambda: Shaped(Logged(Stretched(PointMass()))),
    "actions": lambda: Biased(PointMass()),
    "actions by a function": lambda: wrappers.TransformAction(PointMass(), lambda a: a / 2, None),
    "actions below declared observations": lambda: Declared(Biased(PointMass())),
    "dict, one entry more": lambda: WithMask(Reach(), 2.0),
}
PASSING = {
    "none": PointMass,
    "limits and records": lambda: wrappers.RecordEpisodeStatistics(
        wrappers.TimeLimit(wrappers.OrderEnforcing(PointMass()), 10)
    ),
    "rewards": lambda: wrappers.NormalizeReward(
        wrappers.ClipReward(wrappers.TransformReward(PointMass(), np.tanh), -1.0)
    ),
    "actions later": lambda: wrappers.StickyAction(PointMass(), 0.5),
    "observations later": lambda: wrappers.DelayObservation(PointMass(), 1),
    "declared": lambda: Declared(PointMass()),
    "declared above others": lambda: Declared(wrappers.NormalizeObservation(PointMass())),
    "with_symmetry above": lambda: eqrl.with_symmetry(
        Stretched(PointMass()),
        observation=PointMass().observation_space.representation,
        action=PointMass().action_space.representation,
    ),
    "looks only": lambda: Logged(PointMass()),
    "shaped reward": lambda: Shaped(PointMass()),
    "dict, one entry more": lambda: WithMask(Reach()),
    "dict, fewer entries": lambda: wrappers.FilterObservation(Reach(), ["desired_goal", "achieved_goal"]),
}


@pytest.mark.parametrize("name", REWRITING)
def test_a_wrapper_that_rewrites_is_refused(name):
    with pytest.raises(
        BreaksSymmetryError, match=r"(rewrites the (observations|actions) .* TypedBox|NormalizeObs.* leave it out)"
    ):
        ppo(REWRITING[name]())


@pytest.mark.parametrize("name", PASSING)
def test_a_wrapper_that_passes_on_is_not(name):
    ppo(PASSING[name]()).learn(16)


def test_every_member_of_a_batch_is_looked_at():
    with pytest.raises(BreaksSymmetryError, match="Stretched"):
        ppo(DummyVecEnv([PointMass, lambda: Stretched(PointMass())]))


def test_a_trial_leaves_no_trace():
    env = Logged(PointMass())
    env.reset(seed=3)
    before = env.np_random.bit_generator.state, len(env.seen), env.unwrapped.__dict__.copy()
    ppo(env)
    assert env.np_random.bit_generator.state == before[0]
    assert len(env.seen) == before[1]
    assert env.unwrapped.__dict__.keys() == before[2].keys()


@pytest.mark.parametrize(("env", "refused"), [(Stretched, True), (Logged, False), (Declared, False)])
def test_environments_in_other_processes(env, refused):
    venv = SubprocVecEnv([lambda: env(PointMass())], start_method="fork")
    try:
        if refused:
            with pytest.raises(BreaksSymmetryError, match="in their own processes"):
                ppo(venv)
        else:
            ppo(venv)
    finally:
        venv.close()


# ------------------------------------------------------------------ wrappers of batches
class Halved(VecEnvWrapper):
    def reset(self):
        return self.venv.reset() / 2

    def step_wait(self):
        observation, *rest = self.venv.step_wait()
        return observation / 2, *rest


class Counted(VecEnvWrapper):
    steps = 0

    def reset(self):
        return self.venv.reset()

    def step_wait(self):
        self.steps += 1
        return self.venv.step_wait()


class Reversed(Counted):
    def step_async(self, actions):
        self.venv.step_async(-actions)


@pytest.mark.parametrize(
    "wrap",
    [
        Halved,
        Reversed,
        lambda env: VecMonitor(VecNormalize(env)),
        lambda env: VecCheckNan(Counted(VecNormalize(env, norm_reward=False))),
        lambda env: VecNormalize(Halved(env), norm_obs=False),
    ],
)
def test_wrappers_of_batches_that_rewrite(wrap):
    with pytest.raises(BreaksSymmetryError, match="breaks the symmetry"):
        ppo(wrap(batch()))


@pytest.mark.parametrize(
    "wrap", [Counted, VecMonitor, lambda env: VecMonitor(VecNormalize(Counted(env), norm_obs=False))]
)
def test_wrappers_of_batches_that_pass_on(wrap):
    env = wrap(batch())
    check_policy(ppo(env).learn(32), batch())


def test_an_entry_picked_out_of_a_normalised_dict():
    with pytest.raises(BreaksSymmetryError, match="norm_obs=False"):
        ppo(VecExtractDictObs(VecNormalize(batch(Reach)), "desired_goal"))
    ppo(VecExtractDictObs(batch(Reach), "desired_goal")).learn(16)
