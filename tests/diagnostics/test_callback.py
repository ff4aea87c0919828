"""The callback logs, and the training goes on to the bit as it would have."""

import pytest
import torch
from plane import C4, Plane
from stable_baselines3 import PPO, SAC, TD3
from stable_baselines3.common.logger import Logger

import eqrl
from eqrl.diagnostics import SymmetryDiagnostics
from eqrl.symmetry import UntypedSpaceError

OPTIONS = {
    PPO: {"n_steps": 64, "batch_size": 32, "n_epochs": 2},
    SAC: {"learning_starts": 32, "batch_size": 16, "train_freq": 16, "gradient_steps": 2},
    TD3: {"learning_starts": 32, "batch_size": 16, "train_freq": 16, "gradient_steps": 2},
}


class Recorded(Logger):
    """Keeps everything that is logged."""

    def __init__(self):
        super().__init__(None, [])
        self.seen = {}

    def record(self, key, value, exclude=None):
        self.seen[key] = value
        super().record(key, value, exclude)


def trained(algorithm, callback=None):
    model = algorithm(
        "MlpPolicy", Plane(C4), seed=0, device="cpu", policy_kwargs={"net_arch": [16]}, **OPTIONS[algorithm]
    )
    logger = Recorded()
    model.set_logger(logger)
    model.learn(192, callback=callback)
    return model, logger.seen


@pytest.mark.parametrize("algorithm", OPTIONS, ids=lambda a: a.__name__)
def test_it_logs_and_changes_nothing(algorithm):
    plain, _ = trained(algorithm)
    watched, seen = trained(algorithm, SymmetryDiagnostics(every=64, samples=32, gradients=4))
    for a, b in zip(plain.policy.state_dict().values(), watched.policy.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    for what in ("actor", "value"):
        for number in ("error", "coherence", "saliency"):
            assert -1.0 <= seen[f"diagnostics/{what} quarter turn/{number}"] <= 1.0
        assert f"diagnostics/{what}/coherence of random pairs" in seen
    shares = [v for k, v in seen.items() if k.startswith("diagnostics/parity/")]
    assert sum(shares) == pytest.approx(1.0)
    assert seen["diagnostics/plasticity/identical"] == 0.0


def test_the_table_on_the_screen_does_not_stop_the_training(capsys):
    """SB3 cuts its keys to 36 characters and refuses two that are then equal: names of candidates stay out of it."""
    env = eqrl.make_vec("eqrl/AntTarget-v0", n_envs=2, n_threads=1)
    model = PPO("MlpPolicy", env, n_steps=16, batch_size=32, n_epochs=1, verbose=1, device="cpu")
    model.learn(64, callback=SymmetryDiagnostics(every=32, samples=16, gradients=2))
    assert "plasticity/dead" in capsys.readouterr().out


def test_bad_input():
    with pytest.raises(ValueError, match="samples=0"):
        SymmetryDiagnostics(samples=0)
    with pytest.raises(UntypedSpaceError):
        PPO("MlpPolicy", "Pendulum-v1", n_steps=64, device="cpu").learn(64, callback=SymmetryDiagnostics())
