"""Training, evaluating and resuming environments that were not written for eqrl."""

import gymnasium
import numpy as np
import pytest
from stable_baselines3 import PPO

from eqrl import EquivariantPolicy, with_symmetry
from eqrl.errors import UsageError
from eqrl.evaluate import evaluate
from eqrl.runs.config import Config
from eqrl.runs.environments import make_env
from eqrl.runs.models import make_model
from eqrl.runs.resolution import resolve
from eqrl.symmetry import UntypedSpaceError, representation_of
from eqrl.train import resume, train

SMALL = {
    "n_timesteps": 64,
    "n_envs": 2,
    "eval_episodes": 1,
    "progress": False,
    "policy_kwargs": {"network_kwargs": {"hidden": [8]}},
    "hyperparams": {"batch_size": 32, "n_steps": 16},
    "tensorboard_log": "off",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(Config(env="Reacher-v5", log_folder=str(tmp_path_factory.mktemp("runs")), **SMALL))


def test_a_gymnasium_environment_is_typed_and_trained_with_a_network_that_keeps_it(run):
    assert run.config.network == "regular"
    assert run.model.observation_space == with_symmetry(gymnasium.make("Reacher-v5")).observation_space
    assert run.zero_shot.angles_deg.tolist() == [0.0]  # its scene cannot be turned
    assert run.metrics["equivariance_error"] < 1e-4
    assert not (run.path / "zero_shot.png").exists()


def test_its_run_is_evaluated_and_resumed(run):
    again = evaluate(run.path, episodes=1)
    assert again.returns == pytest.approx(run.zero_shot.returns)
    more = resume(run.path, n_timesteps=96)
    assert more.metrics["timesteps"] == 96


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ("CartPole-v1", r"actions Discrete\(2\).*--network MlpPolicy"),
        ("Hopper-v5", r"no symmetry that a network could keep.*--network mlp.*docs/your_environment.md"),
        ("Humanoid-v5", r"no symmetry that a network could keep.*right_knee stiffness.*docs/your_environment.md"),
        ("tests/Bare-v0", r"cannot be typed without a declaration.*docs/your_environment.md"),
    ],
)
def test_what_cannot_be_typed_is_refused_before_anything_is_written(env, words, tmp_path):
    class Bare(gymnasium.Env):
        observation_space = action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)

    gymnasium.register("tests/Bare-v0", Bare)
    try:
        with pytest.raises(UsageError, match=words):
            train(Config(env=env, log_folder=str(tmp_path), **SMALL))
    finally:
        del gymnasium.registry["tests/Bare-v0"]
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_is_named_is_kept(tmp_path):
    run = train(Config(env="Pendulum-v1", network="mlp", rotations=0, log_folder=str(tmp_path), **SMALL))
    assert run.config.network == "mlp"


@pytest.mark.parametrize("options", [{}, {"network": "mlp", "prior": ["mirror_loss"]}])
def test_a_symmetry_that_holds_nearly_counts_if_asked(options):
    """For the choice of the network, and for priors."""
    config = resolve(Config(env="Humanoid-v5", approximate=True, **{**SMALL, **options}))
    assert config.network == options.get("network", "regular")
    env = make_env(config, 2)
    assert representation_of(env.observation_space).group.order == 2
    make_model(config, env)
    env.close()


def test_the_error_of_an_untyped_space_names_what_types_it():
    with pytest.raises(UntypedSpaceError, match=r"eqrl\.with_symmetry\(env\)"):
        PPO(EquivariantPolicy, gymnasium.make("Reacher-v5"))
