"""A learning rate that adapts to the KL divergence, and a schedule of the exploration noise, for stock PPO."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from stable_baselines3 import A2C, PPO, SAC
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import LinearSchedule
from toy_envs import PointMass, Walker

from eqrl import SaveTraining
from eqrl.agents import EquivariantPolicy, KLAdaptiveLR, StdSchedule


def ppo(learning_rate=5e-4, policy="MlpPolicy", env=PointMass, **options):
    options = {"n_steps": 32, "batch_size": 32, "n_epochs": 2, **options}
    return PPO(policy, env(), learning_rate=learning_rate, seed=0, device="cpu", **options)


class Record(BaseCallback):
    """What was logged before every update but the first, and the learning rates of the updates."""

    def __init__(self):
        super().__init__()
        self.kl, self.rates, self.stds = [], [], []

    def _on_rollout_start(self):
        if "train/approx_kl" in self.logger.name_to_value:
            self.kl.append(float(self.logger.name_to_value["train/approx_kl"]))
            self.rates.append(self.model.policy.optimizer.param_groups[0]["lr"])

    def _on_step(self):
        self.stds.append(self.model.policy.log_std.detach().exp().numpy().copy())
        return True


def test_the_rate_follows_the_rule():
    record, desired = Record(), 0.01
    model = ppo(learning_rate=1e-3)
    model.learn(32 * 24, callback=[record, KLAdaptiveLR(desired, max_lr=4e-3)])
    expected = [1e-3]
    for kl in record.kl[:-1]:
        rate = expected[-1]
        rate = rate / 1.5 if kl > 2 * desired else rate * 1.5 if kl < desired / 2 else rate
        expected.append(min(max(rate, 1e-5), 4e-3))
    assert record.rates == expected
    assert len({*expected}) > 3
    assert max(expected) <= 4e-3


@pytest.mark.parametrize(("desired", "bound"), [(1e-9, 1e-4), (1e3, 2e-3)])
def test_the_rate_stays_within_its_bounds(desired, bound):
    model = ppo()
    model.learn(32 * 14, callback=KLAdaptiveLR(desired, min_lr=1e-4, max_lr=2e-3))
    assert model.learning_rate == model.policy.optimizer.param_groups[0]["lr"] == bound


def test_the_wanted_divergence_is_reached():
    record = Record()
    ppo(learning_rate=1e-5, n_steps=128, batch_size=64).learn(128 * 30, callback=[record, KLAdaptiveLR(0.02)])
    assert max(record.kl[:3]) < 0.005
    assert 0.006 < np.median(record.kl[15:]) < 0.06


def test_a_saved_model_holds_a_number_and_goes_on_from_it():
    model = ppo()
    model.learn(32 * 6, callback=KLAdaptiveLR(1e3))
    rate = model.learning_rate
    assert type(rate) is float
    assert rate > 5e-4
    file = io.BytesIO()
    model.save(file)
    loaded = PPO.load(file, env=PointMass(), device="cpu")
    assert loaded.learning_rate == rate
    loaded.learn(32, callback=KLAdaptiveLR(1e3))
    assert loaded.policy.optimizer.param_groups[0]["lr"] == model.policy.optimizer.param_groups[0]["lr"]


@pytest.mark.parametrize("saver_first", [True, False])
def test_a_resumed_script_is_the_same_to_the_bit(saver_first, tmp_path):
    def trained(folder, steps):
        model = ppo(env=Walker, policy=EquivariantPolicy)
        saver = SaveTraining(folder, every=64)
        saver.restore(model)
        ours = [KLAdaptiveLR(0.004), StdSchedule(LinearSchedule(0.6, 0.3, 0.8))]
        callbacks = [saver, *ours] if saver_first else [*ours, saver]
        model.learn(steps - model.num_timesteps, callback=callbacks, reset_num_timesteps=False)
        return model

    class Killed(Exception):
        pass

    class Kill(BaseCallback):
        def _on_step(self):
            if self.num_timesteps == 32 * 6 + 3:
                raise Killed
            return True

    straight = trained(tmp_path / "straight", 32 * 10)
    model = ppo(env=Walker, policy=EquivariantPolicy)
    ours = [KLAdaptiveLR(0.004), StdSchedule(LinearSchedule(0.6, 0.3, 0.8)), Kill()]
    saver = SaveTraining(tmp_path / "again", every=64)
    with pytest.raises(Killed):
        model.learn(32 * 10, callback=[saver, *ours] if saver_first else [*ours[:2], saver, ours[2]])
    again = trained(tmp_path / "again", 32 * 10)
    assert again.learning_rate == straight.learning_rate != 5e-4
    for (name, a), b in zip(straight.policy.state_dict().items(), again.policy.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


@pytest.mark.parametrize("policy", ["MlpPolicy", EquivariantPolicy])
@pytest.mark.parametrize("algorithm", [PPO, A2C])
def test_the_noise_follows_its_schedule(algorithm, policy):
    record = Record()
    options = {"batch_size": 32} if algorithm is PPO else {}
    model = algorithm(policy, Walker(), n_steps=32, seed=0, device="cpu", learning_rate=1e-2, **options)
    model.learn(32 * 10, callback=[StdSchedule(LinearSchedule(0.6, 0.2, 0.5)), record])
    stds = np.array(record.stds)
    assert np.allclose(stds, stds[:, :1])
    expected = [max(0.6 - 0.4 * k / 5, 0.2) for k in range(10)]
    np.testing.assert_allclose(stds[::32, 0], expected, rtol=1e-6)
    constant = Record()
    model.learn(64, callback=[StdSchedule(0.37), constant])
    np.testing.assert_allclose(constant.stds, 0.37, rtol=1e-6)


def test_first_ratios_are_one():
    model = ppo(policy=EquivariantPolicy, n_epochs=1)
    model.learn(32 * 3, callback=StdSchedule(LinearSchedule(0.6, 0.1, 1.0)))
    assert model.logger.name_to_value["train/clip_fraction"] == 0.0


def test_what_does_not_fit_is_refused():
    for options in ({"desired_kl": 0.0}, {"min_lr": 0.0}, {"max_lr": 1e-6}, {"factor": 1.0}):
        with pytest.raises(ValueError, match=next(iter(options))):
            KLAdaptiveLR(**options)
    sac = SAC("MlpPolicy", PointMass(), device="cpu", buffer_size=100)
    with pytest.raises(ValueError, match="SAC logs none"):
        sac.learn(1, callback=KLAdaptiveLR())
    with pytest.raises(ValueError, match="SAC is no parameter"):
        sac.learn(1, callback=StdSchedule(0.5))
    with pytest.raises(ValueError, match="use_sde=False"):
        ppo(use_sde=True).learn(1, callback=StdSchedule(0.5))
    with pytest.raises(ValueError, match="a schedule already; give the algorithm a number"):
        ppo(learning_rate=LinearSchedule(1e-3, 0.0, 1.0)).learn(1, callback=KLAdaptiveLR())
    with pytest.raises(ValueError, match=r"returned -1\.0, which must be positive"):
        ppo().learn(1, callback=StdSchedule(-1.0))
