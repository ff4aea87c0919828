"""Distillation: the clone is nearly equivariant, keeps it only where that pays, and comes from runs as well."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch
import typed_env
from plane import C4, Plane
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.vec_env import DummyVecEnv
from toy_envs import PointMass

from eqrl.agents import Distil, EquivariantPolicy
from eqrl.errors import UsageError
from eqrl.runs.config import Config
from eqrl.symmetry import Field, Representation, TypedBox
from eqrl.train import train

typed_env.register()


class Offset(gymnasium.Env):
    """One step; the reward asks for the same action everywhere, which no policy that commutes with C4 can give."""

    def __init__(self) -> None:
        rep = Representation((Field("position", "1x1o", horizontal=True),), group=C4)
        self.observation_space, self.action_space = TypedBox(rep), TypedBox(rep, -1.0, 1.0)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.np_random.uniform(-1, 1, 2).astype(np.float32), {}

    def step(self, action):
        return np.zeros(2, np.float32), -float(np.square(action - np.array([0.6, 0.0])).sum()), True, False, {}


def make(env, algorithm=PPO, n: int = 8, **options):
    options = {"n_steps": 32, "batch_size": 64, **options} if algorithm is PPO else {"learning_starts": 32, **options}
    return algorithm("MlpPolicy", DummyVecEnv([env] * n), device="cpu", seed=0, **options)


def relative_error(model, group, observations) -> float:
    """``|f(g s) - g f(s)| / (|f(g s)| + |g f(s)|)``, a mean over observations and all elements."""
    errors = []
    for i in range(group.order):
        g = group.elements()[i]
        image = model.observation_space.representation.transform(observations, g)
        there = model.predict(image, deterministic=True)[0]
        expected = model.action_space.representation.transform(model.predict(observations, deterministic=True)[0], g)
        sizes = np.linalg.norm(there, axis=1) + np.linalg.norm(expected, axis=1)
        errors.append(np.linalg.norm(there - expected, axis=1) / np.maximum(sizes, 1e-9))
    return float(np.mean(errors[1:]))


def test_the_clone_is_nearly_equivariant():
    """On observations that it was not taught, error below 0.02 against about 0.7 of a random network."""
    model = Distil(steps=1500).attach(make(lambda: Plane(C4)))
    env = Plane(C4)
    env.action_space.seed(1)
    held_out = [env.reset(seed=1)[0]]
    for k in range(500):
        held_out.append(env.step(env.action_space.sample())[0] if k % 10 else env.reset()[0])
    held_out = np.stack(held_out)
    assert relative_error(model, C4, held_out) > 0.5
    model.learn(1, callback=lambda *_: False)  # stops before the first update
    assert relative_error(model, C4, held_out) < 0.02


def test_the_clone_stays_what_it_was_while_nothing_is_learnt():
    """The normaliser has seen the teacher's observations, so that the first rollouts hardly change its statistics."""
    model = PPO(
        EquivariantPolicy, DummyVecEnv([lambda: Plane(C4)] * 8), n_steps=32, batch_size=64, learning_rate=0.0, seed=0,
        policy_kwargs={"network": "mlp", "network_kwargs": {"hidden": (32, 32)}}, device="cpu",
    )  # fmt: skip
    prior = Distil(steps=300, samples=1024)
    prior.attach(model)
    prior.before_learning()
    x = torch.as_tensor(np.random.default_rng(3).uniform(-1, 1, (200, 4)).astype(np.float32))
    clone = model.policy.get_distribution(x).mode().detach()
    model.learn(2 * 32 * 8)
    change = (model.policy.get_distribution(x).mode() - clone).norm() / clone.norm()
    assert float(change.detach()) < 0.2
    assert prior._relative_error(x) < 0.2


def learnt(pull: float) -> float:
    """Return on the broken task of a clone that has learnt there, relative to that of the exact teacher."""
    model = Distil(steps=200, samples=512, pull=pull).attach(make(Offset, learning_rate=3e-3, n_epochs=10))
    model.learn(4096)
    observations = np.random.default_rng(2).uniform(-1, 1, (200, 2)).astype(np.float32)
    actions = np.clip(model.predict(observations, deterministic=True)[0], -1, 1)
    return -float(np.square(actions - np.array([0.6, 0.0])).sum(1).mean())


def test_a_clone_that_is_let_go_recovers_on_a_broken_task():
    """No exact policy gets more than -0.36; a strong pull keeps the clone near that until it fades."""
    assert learnt(0.0) > -0.1
    assert learnt(1000.0) < -0.2


def test_the_pull_fades_with_the_training():
    prior = Distil(steps=1, samples=8, pull=2.0)
    model = prior.attach(make(lambda: Plane(C4)))
    model.learn(1, callback=lambda *_: False)
    x = torch.randn(16, 4)
    shifted = lambda x: model.policy.get_distribution(x).mode() + 0.5  # noqa: E731
    for remaining in (1.0, 0.25):
        model._current_progress_remaining = remaining
        # 2 * remaining * |0.5|^2 / 2, with sigma = 1 at the beginning
        assert float(prior.policy_term(shifted, x).detach()) == pytest.approx(2.0 * remaining * 0.125, rel=1e-5)
    model._current_progress_remaining = 0.0
    assert prior.policy_term(shifted, x) is None


@pytest.mark.parametrize("algorithm", [PPO, SAC])
def test_a_teacher_of_another_algorithm(algorithm):
    """Actions are taught in the units of the pupil, and values where both have the same kind."""
    teacher = make(PointMass, n=2)
    teacher = PPO(EquivariantPolicy, teacher.env, policy_kwargs={"network_kwargs": {"output_gain": 1.0}}, device="cpu")
    prior = Distil(teacher=teacher, steps=300)
    pupil = prior.attach(make(PointMass, algorithm, n=2))
    x = pupil.env.reset()
    before = np.abs(pupil.predict(x, deterministic=True)[0] - teacher.predict(x, deterministic=True)[0]).mean()
    pupil.learn(1, callback=lambda *_: False)
    after = np.abs(pupil.predict(x, deterministic=True)[0] - teacher.predict(x, deterministic=True)[0]).mean()
    assert after < 0.5 * before


def test_refusals():
    """Each error says what is wrong with the teacher."""
    plane = make(lambda: Plane(C4))
    with pytest.raises(ValueError, match="knows no group, and it shall teach C4"):
        Distil(teacher=plane).attach(make(lambda: Plane(C4)))
    other = PPO(EquivariantPolicy, DummyVecEnv([lambda: Plane(C4, length=3)]), device="cpu")
    with pytest.raises(ValueError, match="observation_space of the teacher"):
        Distil(teacher=other).attach(make(Offset))
    with pytest.raises(ValueError, match=r"load the model: teacher=eqrl.load"):
        Distil(teacher="run").attach(make(Offset)).learn(8)
    with pytest.raises(ValueError, match="steps=0"):
        Distil(steps=0)
    with pytest.raises(ValueError, match="neither a model nor a policy"):
        Distil(teacher=3).attach(make(Offset))


def test_from_a_run(tmp_path):
    """A run names its teacher by folder; one that does not fit is refused before any folder is made."""
    options = {
        "env": "tests/Point-v0", "n_timesteps": 256, "n_envs": 4, "rotations": 0, "eval_freq": 0, "num_threads": 1,
        "hyperparams": {"n_steps": 32, "batch_size": 64},
    }  # fmt: skip
    teacher = train(Config(network="frame", log_folder=str(tmp_path / "teachers"), **options))
    words = f"distil:{{teacher: '{teacher.path}', steps: 100}}"
    run = train(Config(network="mlp", prior=[words], log_folder=str(tmp_path / "pupils"), **options))
    assert 0.0 < run.model.priors[0].error < 0.5
    with pytest.raises(UsageError, match="nowhere"):
        train(Config(network="mlp", prior=["distil:{teacher:nowhere}"], log_folder=str(tmp_path / "none"), **options))
    assert not (tmp_path / "none").exists()
