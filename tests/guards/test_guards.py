"""Guards: a planted number that is not finite stops the training within one update, and the error names its origin."""

import json
import re
from contextlib import contextmanager

import numpy as np
import pytest
import torch
import typed_env
from chains import CHAINS, register_chains
from safetensors.torch import load_file
from stable_baselines3.common.callbacks import BaseCallback

from eqrl.checkpoint.parameters import optimizers_of
from eqrl.envs.core.simulation import Simulation
from eqrl.guards import Guard, TrainingDiverged
from eqrl.guards.parameters import Gradients, all_finite, leaves, named_numbers
from eqrl.runs.config import Config
from eqrl.runs.environments import make_env
from eqrl.runs.models import make_model
from eqrl.runs.resolution import resolve

typed_env.register()
HYPERPARAMS = {
    "ppo": {"n_steps": 32, "batch_size": 64, "n_epochs": 2},
    "sac": {"learning_starts": 64, "buffer_size": 2000, "gradient_steps": 2, "batch_size": 32},
    "td3": {"learning_starts": 64, "buffer_size": 2000, "gradient_steps": 2, "batch_size": 32},
}
PLANT = 400  # environment steps after which the number is planted
UPDATE = {"ppo": 4 * 32, "sac": 4, "td3": 4}  # environment steps from one update to the next
LAST_GOOD = "checkpoint-256"


@pytest.fixture(autouse=True)
def _log_goes_elsewhere(tmp_path, monkeypatch):
    """MuJoCo writes its warnings to a log in the working directory."""
    monkeypatch.chdir(tmp_path)


class Plant(BaseCallback):
    """Calls a function with the model, once, at the first step (or rollout) from PLANT steps on."""

    def __init__(self, act):
        super().__init__()
        self.act, self.done = act, False

    def _on_rollout_end(self):
        if self.num_timesteps >= PLANT and not self.done:
            self.done = True
            self.act(self.model)

    def _on_step(self):
        return True


class Spoil(BaseCallback):
    """Changes what a step returned, before the guard sees it, once, at the first step from PLANT steps on."""

    def __init__(self, act):
        super().__init__()
        self.act, self.done = act, False

    def _on_step(self):
        if self.num_timesteps >= PLANT and not self.done:
            self.done = True
            self.act(self.locals)
        return True


def model_for(algo, env="tests/Point-v0", **options):
    options = {"n_envs": 4, "num_threads": 1, "hyperparams": HYPERPARAMS[algo], **options}
    config = resolve(
        Config(**{"algo": algo, "env": env, "policy_kwargs": {"network_kwargs": {"hidden": [16, 16]}}, **options})
    )
    return make_model(config, make_env(config, seed=config.seed))


def learn(model, folder, *callbacks, steps=1500, guard=None):
    with guard or Guard("tests/Point-v0", folder, lambda: LAST_GOOD) as guard:
        model.learn(steps, callback=[*callbacks, guard])
    return guard


def fail(model, folder, *callbacks, match, kind, **options):
    """Train until the guard stops it, check what holds for every error, and return the error."""
    with pytest.raises(TrainingDiverged, match=match) as caught:
        learn(model, folder, *callbacks, **options)
    error = caught.value
    algo = type(model).__name__.lower()
    text = str(error)
    assert "\n" not in text
    assert f"last good model: {LAST_GOOD}" in text
    assert f"after {error.steps} steps" in text
    assert PLANT <= error.steps <= PLANT + 2 * UPDATE[algo], "not within one update"
    assert error.finding.kind == kind
    assert error.bundle == folder / f"failure_{error.steps}"
    assert str(error.bundle) in text
    assert not hooks_of(model)
    return error


def hooks_of(model):
    """All hooks of a guard on a model."""
    hooks = [h for o in optimizers_of(model).values() for h in o._optimizer_step_pre_hooks]
    hooks += [o for o in optimizers_of(model).values() if "step" in vars(o)]
    return hooks + [p for p in model.policy.parameters() if p._post_accumulate_grad_hooks]


def bundle_of(error):
    """The bundle, read without pickle."""
    record = json.loads((error.bundle / "failure.json").read_text())
    assert record["cause"] == error.finding.kind
    assert record["message"] in str(error)
    assert record["steps"] == error.steps
    assert (record["seed"], record["environment_seeds"]) == (0, [0, 1, 2, 3])
    assert record["last_good"] == LAST_GOOD
    assert record["member"] == error.finding.member
    assert set(record["versions"]) >= {"python", "torch", "stable-baselines3", "mujoco", "eqrl"}
    with np.load(error.bundle / "batch.npz", allow_pickle=False) as file:
        batch = {name: file[name] for name in file.files}
    return record, batch, load_file(error.bundle / "parameters.safetensors")


def parameters_are_finite(model):
    return all_finite(list(named_numbers(model).values()))


# ---------------------------------------------------------------------- data
ALGORITHMS = ["ppo", "sac", "td3"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("algo", ALGORITHMS)
def test_reward(tmp_path, algo, value):
    model = model_for(algo)

    def plant(variables):
        variables["rewards"][2] = value

    error = fail(
        model,
        tmp_path,
        Spoil(plant),
        match=rf"^environment tests/Point-v0 returned {value} in its reward \(member 2\), after 400 steps",
        kind="reward",
    )
    _, batch, parameters = bundle_of(error)
    assert np.flatnonzero(~np.isfinite(batch["step.rewards"])).tolist() == [2]
    assert batch["step.observations"].shape == batch["step.next_observations"].shape == (4, 2)
    assert batch["step.actions"].shape == (4, 2)
    assert batch["step.dones"].shape == (4,)
    kind = "rollout" if algo == "ppo" else "recent"
    assert batch[f"{kind}.rewards"].shape == ((3, 4) if algo == "ppo" else (99, 4))
    assert np.isfinite(batch[f"{kind}.observations"]).all()
    assert parameters_are_finite(model)
    for name, tensor in model.policy.state_dict().items():
        assert torch.equal(parameters[name], tensor)
    assert ("log_ent_coef" in parameters) == (algo == "sac")


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_observation_by_field(tmp_path, algo):
    model = model_for(algo)

    def plant(variables):
        variables["new_obs"][1, 1] = np.nan

    error = fail(
        model,
        tmp_path,
        Spoil(plant),
        match=r"returned nan in its observation field 'position' \(member 1\)",
        kind="observation",
    )
    _, batch, _ = bundle_of(error)
    assert np.argwhere(np.isnan(batch["step.next_observations"])).tolist() == [[1, 1]]
    assert parameters_are_finite(model)


@pytest.mark.parametrize("algo", ["ppo", "sac"])
def test_terminal_observation(tmp_path, algo):
    """PPO bootstraps from it, and the replay buffer keeps it; it is not among the observations that are returned."""
    model = model_for(algo)

    class OnDone(BaseCallback):
        def _on_step(self):
            if self.num_timesteps >= PLANT and self.locals["dones"][3]:
                info = self.locals["infos"][3]
                info["terminal_observation"] = np.array([np.nan, 0.0], np.float32)
            return True

    fail(model, tmp_path, OnDone(), match=r"observation field 'position' \(member 3\)", kind="observation")


def test_observation_in_a_dict(tmp_path):
    model = model_for("sac", "eqrl/Reach-v0", hyperparams={**HYPERPARAMS["sac"], "learning_starts": 5000})

    def plant(variables):
        variables["new_obs"]["observation"][0, -1] = np.inf

    error = fail(
        model,
        tmp_path,
        Spoil(plant),
        match=r"inf in its observation 'observation' field '\w+' \(member 0\)",
        kind="observation",
    )
    _, batch, _ = bundle_of(error)
    assert np.isinf(batch["step.next_observations.observation"]).sum() == 1
    assert batch["recent.observations.desired_goal"].shape[:2] == (99, 4)


def test_reward_before_it_is_normalised(tmp_path):
    """Clipping makes an infinite reward finite, and the running statistics then blame another member."""
    model = model_for("ppo", hyperparams={**HYPERPARAMS["ppo"], "normalize": {"norm_reward": True}})
    step = model.get_env().venv.step_wait

    def spoiled():
        observation, rewards, dones, infos = step()
        if model.num_timesteps >= PLANT - 4:
            rewards[2] = np.inf
        return observation, rewards, dones, infos

    model.get_env().venv.step_wait = spoiled
    with np.errstate(all="ignore"):
        fail(model, tmp_path, match=r"returned inf in its reward \(member 2\)", kind="reward")


def test_the_first_observation_of_all(tmp_path):
    model = model_for("ppo")
    reset = model.get_env().reset

    def spoiled():
        observation = reset()
        observation[2, 0] = np.nan
        return observation

    model.get_env().reset = spoiled
    with pytest.raises(TrainingDiverged, match=r"observation field 'position' \(member 2\), after 0 steps"):
        learn(model, tmp_path)


# ---------------------------------------------------------------------- parameters
WEIGHTS = [
    ("ppo", "action_net.net.0.weight"),
    ("ppo", "value_net.net.4.bias"),
    ("ppo", "log_std"),
    ("ppo", "features_extractor.norm.running_gain"),
    ("sac", "actor.backbone.net.0.weight"),
    ("sac", "actor.features_extractor.norm.running_moments"),
    ("sac", "critic.qf1.net.2.weight"),
    ("sac", "critic_target.qf0.net.0.weight"),
    ("sac", "log_ent_coef"),
    ("td3", "actor.backbone.net.0.weight"),
    ("td3", "actor_target.backbone.net.0.weight"),
    ("td3", "critic.qf0.net.0.weight"),
]


@pytest.mark.parametrize(("algo", "name"), WEIGHTS)
def test_weight(tmp_path, algo, name):
    model = model_for(algo)

    def plant(model):
        named_numbers(model)[name].view(-1)[0] = np.nan

    error = fail(
        model,
        tmp_path,
        Plant(plant),
        match=rf"^parameter {re.escape(name)}( \(and \d+ more\))? is nan",
        kind="parameter",
    )
    _, batch, parameters = bundle_of(error)
    assert error.finding.name == name
    assert torch.isnan(parameters[name]).sum() == 1
    # it was stopped before the optimiser spread it
    clean = [n for n, p in model.policy.named_parameters() if n != name and "target" not in n]
    assert all(torch.isfinite(parameters[n]).all() for n in clean)
    assert {"rollout.actions", "recent.actions"} & set(batch)


def test_weight_of_the_stock_policy_that_its_distribution_refuses(tmp_path, monkeypatch):
    """PyTorch's own error names neither a parameter nor a step."""
    # torch.compile, in whatever test came before, switches the validation off for good
    monkeypatch.setattr(torch.distributions.Distribution, "_validate_args", True)
    model = model_for("ppo", network="MlpPolicy", policy_kwargs={"net_arch": [16]})

    class Mid(BaseCallback):
        def _on_step(self):
            if self.num_timesteps == 416:  # in the middle of a rollout
                self.model.policy.action_net.weight.data[0, 3] = np.nan
            return True

    error = fail(model, tmp_path, Mid(), match=r"^parameter action_net\.weight is nan", kind="parameter")
    record, *_ = bundle_of(error)
    assert "Expected parameter" in record["traceback"][-1]


# ---------------------------------------------------------------------- gradients and losses
def planted_gradient(parameter, model):
    """A gradient of one entry becomes NaN, from PLANT steps on, as a broken operation would make it."""

    def hook(gradient):
        if model.num_timesteps < PLANT:
            return gradient
        gradient = gradient.clone()
        gradient.view(-1)[0] = np.nan
        return gradient

    parameter.register_hook(hook)


GRADIENTS = [
    ("ppo", "action_net.net.0.weight"),
    ("ppo", "action_net.net.4.bias"),
    ("ppo", "log_std"),
    ("ppo", "value_net.net.2.weight"),
    ("sac", "actor.backbone.net.2.weight"),
    ("sac", "critic.qf1.net.0.bias"),
    ("sac", "log_ent_coef"),
    ("td3", "actor.backbone.net.0.weight"),
    ("td3", "critic.qf0.net.4.weight"),
]


@pytest.mark.parametrize(("algo", "name"), GRADIENTS)
def test_gradient(tmp_path, algo, name):
    """PPO's clipping makes all gradients NaN before the optimiser sees them; only the autopsy knows the right one."""
    model = model_for(algo)
    planted_gradient(leaves(model)[name], model)
    state = {}

    class Remember(BaseCallback):
        def _on_rollout_end(self):
            state.update({k: v.clone() for k, v in named_numbers(self.model).items()})

        def _on_step(self):
            return True

    error = fail(
        model,
        tmp_path,
        Remember(),
        match=rf"^the gradient of parameter {re.escape(name)} is not finite",
        kind="gradient",
    )
    _, batch, parameters = bundle_of(error)
    assert parameters_are_finite(model)
    assert batch["minibatch.observations"].shape[1:] == batch["minibatch.actions"].shape[1:] == (2,)
    if algo == "ppo":
        # the first minibatch failed, so that no parameter has moved, nor did the autopsy move one
        assert all(torch.equal(v, state[k]) for k, v in named_numbers(model).items())
        assert "minibatch.advantages" in batch
    else:
        assert {"minibatch.rewards", "minibatch.dones", "minibatch.next_observations"} <= set(batch)
    for key, value in named_numbers(model).items():
        assert torch.equal(parameters[key], value), "the autopsy changed the model"


@pytest.mark.parametrize("algo", ["ppo", "sac"])
def test_operation_with_a_nan_in_its_derivative(tmp_path, algo):
    """The root of zero is finite, its derivative is not: autograd can say so."""
    model = model_for(algo)
    network = model.policy.actor if algo == "sac" else model.policy
    name = "action_log_prob" if algo == "sac" else "evaluate_actions"
    original = getattr(network, name)

    def broken(*args):
        result = original(*args)
        if model.num_timesteps < PLANT:
            return result
        where = 1
        bad = (result[where] * 0.0).sqrt() * 0.0
        return (*result[:where], result[where] + bad, *result[where + 1 :])

    setattr(network, name, broken)
    error = fail(
        model, tmp_path, match=r"the gradient of parameter .* \(autograd blames SqrtBackward0", kind="gradient"
    )
    assert parameters_are_finite(model)
    bundle_of(error)


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_a_gradient_that_does_not_recur(tmp_path, algo):
    model = model_for(algo)
    seen = []

    def once(gradient):
        if model.num_timesteps >= PLANT and not seen:
            seen.append(True)
            return gradient * np.nan
        return gradient

    next(iter(model.policy.critic.parameters() if algo != "ppo" else model.policy.parameters())).register_hook(once)
    fail(
        model,
        tmp_path,
        match=r"^a gradient is not finite \(it did not recur when the update was repeated",
        kind="gradient",
    )
    assert parameters_are_finite(model)


@pytest.mark.parametrize(("algo", "loss"), [("ppo", "value_loss"), ("sac", "critic_loss"), ("td3", "critic_loss")])
def test_loss(tmp_path, monkeypatch, algo, loss):
    model = model_for(algo)
    mse_loss = torch.nn.functional.mse_loss

    def broken(*args, **kwargs):
        return mse_loss(*args, **kwargs) * (np.nan if model.num_timesteps >= PLANT else 1.0)

    monkeypatch.setattr(torch.nn.functional, "mse_loss", broken)
    error = fail(model, tmp_path, match=rf"^{loss} is nan though data and parameters are finite", kind="loss")
    record, *_ = bundle_of(error)
    assert record["losses"][loss] == "nan"
    assert parameters_are_finite(model)


def test_buffer_that_was_spoilt_after_it_was_collected(tmp_path):
    model = model_for("sac")

    def plant(model):
        model.replay_buffer.rewards[:] = np.nan

    fail(model, tmp_path, Plant(plant), match=r"the buffer of tests/Point-v0 holds nan in its rewards", kind="reward")


# ---------------------------------------------------------------------- physics
@contextmanager
def spoiled_physics(monkeypatch, model, plant):
    step = Simulation.step

    def spoiled(self, action):
        if model.num_timesteps == PLANT:
            state = self.get_state()
            if plant == "qvel":
                state.qvel[2] = 1e12
            else:
                state.qpos[2, 1] = np.nan
            self.set_state(state)
        return step(self, action)

    with monkeypatch.context() as patch:
        patch.setattr(Simulation, "step", spoiled)
        yield


def test_an_action_that_the_environment_refuses(tmp_path, monkeypatch):
    model, step = model_for("ppo", "eqrl/AntTarget-v0"), Simulation.step

    def spoiled(self, action):
        if model.num_timesteps == PLANT:
            action[2, 1] = np.nan
        return step(self, action)

    monkeypatch.setattr(Simulation, "step", spoiled)
    error = fail(model, tmp_path, match=r"^the policy gave nan in its action \(member 2\)", kind="action")
    _, batch, _ = bundle_of(error)
    assert error.finding.member == 2
    assert "step.actions" in batch
    assert "step.rewards" not in batch


@pytest.mark.parametrize("plant", ["qvel", "qpos"])
@pytest.mark.parametrize("algo", ["ppo", "sac"])
def test_physics_stops(tmp_path, monkeypatch, algo, plant):
    model = model_for(algo, "eqrl/AntTarget-v0")
    with spoiled_physics(monkeypatch, model, plant):
        error = fail(
            model,
            tmp_path,
            match=r"^the physics of environment tests/Point-v0 diverged \(member 2, .* s after its reset\), after 400",
            kind="physics",
        )
    _, batch, _ = bundle_of(error)
    with np.load(error.bundle / "state.npz", allow_pickle=False) as state:
        assert state["members"].tolist() == [2]
        planted = state["state"][0, 1 + 15 : 1 + 29] if plant == "qvel" else state["state"][0, 1 + 1]
        assert (planted == 1e12).all() if plant == "qvel" else np.isnan(planted)
        np.testing.assert_allclose(state["action"][0], batch["step.actions"][2].clip(-1, 1), atol=1e-6)
    assert "step.rewards" not in batch
    assert parameters_are_finite(model)


def test_physics_of_a_fleet_stops(tmp_path):
    """States of two sizes in one bundle, and names for whom they are."""
    register_chains()
    members = {"short": {"links": 2}, "long": {"links": 7}}  # a run has them by name: the long ones are first
    model = model_for("ppo", CHAINS, env_kwargs={"members": members})

    def plant(variables):
        for i in (1, 3):
            member, k = model.env.unwrapped.simulation.at(i)
            member.world.data.qvel[k] = 1e12

    match = (
        r"^the physics of environment tests/Point-v0 diverged \(member 1 'long' and 1 more, .* s after its reset\),"
        r" after 40"
    )
    error = fail(model, tmp_path, Spoil(plant), match=match, kind="physics")
    with np.load(error.bundle / "state.npz", allow_pickle=False) as state:
        assert state["members"].tolist() == [1, 3]
        sizes = np.isfinite(state["state"]).sum(axis=1)
        assert sizes[1] < sizes[0] == state["state"].shape[1]


@pytest.mark.parametrize("algo", ["ppo", "sac"])
def test_physics_is_reset_and_counted(tmp_path, monkeypatch, algo):
    model = model_for(algo, "eqrl/AntTarget-v0", on_divergence="reset")
    logged = {}

    class Look(BaseCallback):
        def _on_rollout_start(self):
            logged[self.num_timesteps] = self.logger.name_to_value.get("env/divergences")

        def _on_step(self):
            return True

    with spoiled_physics(monkeypatch, model, "qvel"):
        guard = learn(model, tmp_path, Look(), steps=700)
    assert model.num_timesteps >= 700
    assert guard.divergences == 1
    assert parameters_are_finite(model)
    assert not list(tmp_path.glob("failure_*"))
    assert model.env.venv.simulation.divergences == 1
    if algo == "sac":
        assert logged[PLANT] is None
        assert logged[PLANT + 4] == 1
        buffer = model.replay_buffer
        row = PLANT // 4
        assert buffer.dones[row].tolist() == [0, 0, 1, 0]
        assert buffer.timeouts[row].tolist() == [0, 0, 1, 0]  # so that its value is bootstrapped
        assert buffer.rewards[row, 2] == 0.0
        np.testing.assert_array_equal(buffer.next_observations[row, 2], buffer.observations[row, 2])


def test_state_before_the_step_of_a_bad_reward(tmp_path):
    """Gymnasium's own environments as well."""
    for env, size in (("eqrl/AntTarget-v0", 150), ("InvertedPendulum-v5", None)):
        network = {} if size else {"network": "MlpPolicy", "policy_kwargs": {"net_arch": [8]}}
        model = model_for("ppo", env, **network)

        def plant(variables):
            variables["rewards"][1] = np.nan

        folder = tmp_path / env.replace("/", "-")
        error = fail(model, folder, Spoil(plant), match=r"reward \(member 1\)", kind="reward")
        with np.load(error.bundle / "state.npz", allow_pickle=False) as state:
            assert state["members"].tolist() == [0, 1, 2, 3]
            assert state["state"].shape[0] == 4
            assert size in (None, state["state"].shape[1])
            assert np.isfinite(state["state"]).all()


# ---------------------------------------------------------------------- what must not happen
@pytest.mark.parametrize("algo", ALGORITHMS)
def test_a_guarded_training_is_the_same_to_the_bit(tmp_path, algo):
    plain = model_for(algo).learn(700)
    guarded = model_for(algo)  # not before: a new model seeds the global random numbers
    learn(guarded, tmp_path, steps=700)
    assert plain._n_updates == guarded._n_updates > 0
    for name, tensor in named_numbers(plain).items():
        assert torch.equal(tensor, named_numbers(guarded)[name]), name
    assert not list(tmp_path.iterdir())
    assert not hooks_of(guarded)


def gradients_finite(gradients):
    parameters = [torch.nn.Parameter(torch.zeros_like(gradient)) for gradient in gradients]
    looked_at = Gradients(torch.optim.SGD([*parameters, torch.nn.Parameter(torch.zeros(2))]))  # one has no gradient
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    first = looked_at.finite()
    if not first:
        for gradient in gradients:
            gradient.nan_to_num_(0.0, 0.0, 0.0)
        assert looked_at.finite(), "a bad gradient is remembered"
    return first


@pytest.mark.parametrize("good", [all_finite, gradients_finite])
def test_large_numbers_are_not_infinite(good):
    """The length of a gradient of 1e30 overflows in single precision, its entries do not."""
    assert good([torch.full((100,), 1e30), torch.zeros(3, dtype=torch.float64), torch.tensor([1e-45])])
    assert not good([torch.full((100,), 1e30), torch.tensor([0.0, np.inf])])
    assert not good([torch.zeros(3), torch.tensor([np.nan], dtype=torch.float64)])
    assert good([])
    before = torch.tensor([1e-45, -0.0, 3.3e38, 1.0 / 3.0])
    after = before.clone()
    assert good([after])
    assert torch.equal(before.view(torch.int32), after.view(torch.int32))


def test_other_errors_pass_as_they_are(tmp_path):
    def broken(model):
        raise ValueError("something else")

    with pytest.raises(ValueError, match=r"^something else$"):
        learn(model_for("ppo"), tmp_path, Plant(broken))
    with pytest.raises(KeyError), Guard("x", tmp_path, str):
        raise KeyError("before learn")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_does_not_hide_the_error(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("eqrl.guards.bundle.np.savez", full)

    def plant(variables):
        variables["rewards"][2] = np.nan

    with pytest.raises(
        TrainingDiverged, match=r"reward \(member 2\).*could not be saved: .*No space left on device"
    ) as error:
        learn(model_for("ppo"), tmp_path, Spoil(plant))
    assert error.value.bundle is None
    assert not list(tmp_path.iterdir())


def test_a_second_failure_at_the_same_step_keeps_the_first(tmp_path):
    def plant(variables):
        variables["rewards"][2] = np.nan

    for _ in range(2):
        with pytest.raises(TrainingDiverged):
            learn(model_for("ppo"), tmp_path, Spoil(plant))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["failure_400", "failure_400_2"]


def test_check_before_saving(tmp_path):
    model = model_for("sac")
    guard = learn(model, tmp_path, steps=200)
    guard.check()
    model.log_ent_coef.data.fill_(np.nan)
    with pytest.raises(TrainingDiverged, match="parameter log_ent_coef is nan"), guard:
        guard.check()
    assert (tmp_path / "failure_200" / "failure.json").is_file()


def test_with_the_mirror_loss_the_right_parameter_is_named(tmp_path):
    """Its ``train`` replaces methods for the time of the update.

    The autopsy goes through it once more, not through both.
    """
    model = model_for("ppo", network="MlpPolicy", policy_kwargs={"net_arch": [16]}, mirror_loss=0.5)
    planted_gradient(model.policy.value_net.weight, model)
    with pytest.raises(TrainingDiverged, match=r"the gradient of parameter value_net\.weight is not finite"):
        learn(model, tmp_path)
