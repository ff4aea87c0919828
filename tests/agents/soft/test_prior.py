"""Priors: attach in one line, add to SB3's loss, are saved and resumed to the bit, and can be combined."""

from __future__ import annotations

import io
import shutil

import numpy as np
import pytest
import torch
import typed_env
from plane import C4, Plane
from stable_baselines3 import PPO, SAC, TD3
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from toy_envs import MIRRORED_JOINTS, PointMass, Walker

from eqrl.agents import (
    PRIORS,
    AlreadyExactWarning,
    Augmentation,
    BreaksSymmetryError,
    EquivariantPolicy,
    EquivariantSACPolicy,
    EquivariantTD3Policy,
    MirrorLoss,
    MirrorLossPPO,
    WithoutPriorWarning,
    make_prior,
    priors_of,
)
from eqrl.checkpoint.values import pack
from eqrl.errors import UsageError
from eqrl.runs.config import Config
from eqrl.runs.environments import make_env
from eqrl.runs.folder import RunFolder
from eqrl.runs.models import make_model
from eqrl.symmetry import TypedBox
from eqrl.train import resume, train

typed_env.register()
FAST = {"seed": 0, "device": "cpu"}
SMALL = {
    PPO: {"n_steps": 32, "batch_size": 32, "n_epochs": 2, **FAST},
    SAC: {"buffer_size": 2000, "learning_starts": 30, "batch_size": 32, **FAST},
    TD3: {"buffer_size": 2000, "learning_starts": 30, "batch_size": 32, **FAST},
}

POLICIES = {PPO: EquivariantPolicy, SAC: EquivariantSACPolicy, TD3: EquivariantTD3Policy}


SHORT = pytest.mark.filterwarnings("ignore:prior 'symmetry_loss' cannot ask")  # of rollouts of 128 transitions
QUICK = {"distil": {"samples": 64, "steps": 20, "pull": 1.0}}  # options of priors that would otherwise take long


def make(algorithm, env=PointMass, policy="MlpPolicy", **policy_kwargs):
    options = {"net_arch": [16]} if policy == "MlpPolicy" else {"network_kwargs": {"hidden": (16,)}, **policy_kwargs}
    return algorithm(policy, DummyVecEnv([env] * 2), policy_kwargs=options, **SMALL[algorithm])


def make_for(prior, algorithm):
    """A model with a stock policy, or with the network that the prior needs."""
    network = PRIORS[prior].network
    return make(algorithm) if network is None else make(algorithm, PointMass, POLICIES[algorithm], network=network)


class DoublePlane(Plane):
    """Observed in double precision, as most of Gymnasium's robots are."""

    def __init__(self):
        super().__init__(C4)
        self.observation_space = TypedBox(self.observation_space.representation, dtype=np.float64)

    def observe(self):
        return self.state.copy()


def parameters(model):
    return torch.cat([p.detach().flatten() for p in model.policy.parameters()])


@SHORT
@pytest.mark.parametrize(
    ("algorithm", "name"), [(a, n) for a in (PPO, SAC) for n in PRIORS if issubclass(a, PRIORS[n].algorithms)]
)
def test_observations_of_double_precision(algorithm, name):
    """Networks compute in single precision, and what a prior adds follows them, stock ones and those of eqrl."""
    network = PRIORS[name].network or "mlp"
    policies = [(POLICIES[algorithm], {"network": network})]
    if PRIORS[name].network is None:
        policies.append(("MlpPolicy", {}))
    for policy, options in policies:
        model = make(algorithm, DoublePlane, policy, **options)
        assert model.observation_space.dtype == np.float64
        make_prior(name, **QUICK.get(name, {})).attach(model).learn(128)
        assert torch.isfinite(parameters(model)).all()


@SHORT
@pytest.mark.parametrize("name", PRIORS)
@pytest.mark.parametrize("algorithm", SMALL)
def test_one_line(algorithm, name):
    """Every member attaches to every algorithm, changes what is learnt and logs under its name."""
    if not issubclass(algorithm, PRIORS[name].algorithms):
        with pytest.raises(ValueError, match=f"'{name}' works with PPO, not with {algorithm.__name__}"):
            make_prior(name).attach(make(algorithm))
        return
    stock = make_for(name, algorithm).learn(128)
    model = make_prior(name, **QUICK.get(name, {})).attach(make_for(name, algorithm))
    assert isinstance(model, algorithm)
    assert type(model).__name__ == algorithm.__name__
    assert [prior.name for prior in priors_of(model)] == [name]
    model.learn(128)
    assert not torch.equal(parameters(model), parameters(stock))
    file = io.BytesIO()
    model.save(file)
    file.seek(0)
    loaded = algorithm.load(file, env=model.env, device="cpu")
    assert not priors_of(loaded)
    assert torch.equal(parameters(loaded), parameters(model))


def test_a_prior_is_the_algorithm_with_a_mirror_loss():
    """Attached or built in, the same bits."""
    attached = MirrorLoss(strength=0.5, value_strength=0.2).attach(make(PPO)).learn(128)
    built_in = MirrorLossPPO(
        "MlpPolicy",
        DummyVecEnv([PointMass] * 2),
        mirror_coef=0.5,
        mirror_value_coef=0.2,
        policy_kwargs={"net_arch": [16]},
        **SMALL[PPO],
    ).learn(128)
    assert torch.equal(parameters(attached), parameters(built_in))


def test_combined():
    """Two priors act together, in the order in which they were attached."""
    model = make(PPO, lambda: Plane(C4))
    MirrorLoss(strength=0.5).attach(model)
    Augmentation().attach(model)
    model.learn(128)
    one = MirrorLoss(strength=0.5).attach(make(PPO, lambda: Plane(C4))).learn(128)
    assert not torch.equal(parameters(model), parameters(one))
    assert [prior.name for prior in priors_of(model)] == ["mirror_loss", "augmentation"]


@pytest.mark.filterwarnings("ignore::eqrl.agents.AlreadyExactWarning")
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_constraint_sees_what_is_learnt_from(order):
    """Attached before or after an augmentation, the clean loss of a policy is the variance of its exploration."""
    model = make(PPO, lambda: Plane(C4), EquivariantPolicy, log_std_init=-3.0)
    model.learning_rate, model.lr_schedule = 0.0, lambda _: 0.0
    priors = make_prior("constrained_augmentation", every=1), Augmentation()
    for i in order:
        priors[i].attach(model)
    model.learn(256)
    assert priors[0].multipliers["policy"].clean == pytest.approx(np.exp(-6.0), rel=0.5)


def test_loaded_by_the_class_of_a_model_with_priors():
    """It has none and learns as the algorithm does."""
    model = MirrorLoss().attach(make(PPO))
    file = io.BytesIO()
    model.save(file)
    file.seek(0)
    loaded = type(model).load(file, env=model.env, device="cpu")
    assert not priors_of(loaded)
    loaded.learn(64)


@pytest.mark.parametrize("name", ["mirror", MIRRORED_JOINTS.name, "SO2"])
def test_groups_by_name(name):
    """Those of a generator, of the whole group and of the library."""
    prior = MirrorLoss(name)
    prior.attach(make(PPO, Walker))
    assert prior.orbit.group.is_subgroup_of(MIRRORED_JOINTS)
    assert prior.orbit.group.order == (2 if name == "mirror" else None)


def test_strength_zero_is_the_stock_algorithm():
    """A finite group draws no random numbers, so not a bit changes."""
    ours = MirrorLoss(strength=0.0).attach(make(PPO, lambda: Plane(C4))).learn(128)
    assert torch.equal(parameters(ours), parameters(make(PPO, lambda: Plane(C4)).learn(128)))


def test_already_exact():
    """A remark, no error."""
    with pytest.warns(AlreadyExactWarning, match="'frame' is exact for O2"):
        MirrorLoss().attach(make(PPO, policy=EquivariantPolicy))


@pytest.mark.parametrize(
    ("network", "fitting", "words"),
    [("residual", "thresholded", "add --prior residual or thresholded"), ("gated", "gated", "add --prior gated")],
)
def test_a_free_pathway_without_a_prior(tmp_path, network, fitting, words):
    """A remark where a run leaves out the prior that its network is made for, whatever other prior there is."""
    job = config(tmp_path, "ppo", "mirror_loss").replace(network=network)
    env = make_env(job, 4)
    for given in ([], ["mirror_loss"]):
        with pytest.warns(WithoutPriorWarning, match=f"'{network}' has a free pathway.*{words}"):
            make_model(job.replace(prior=given), env)
    make_model(job.replace(prior=[fitting]), env)  # warnings are errors
    make_model(job.replace(network="mlp", prior=[]), env)


def test_refusals():
    """Each error names the argument and the fix."""
    with pytest.raises(ValueError, match="'miror_loss'; did you mean 'mirror_loss'"):
        make_prior("miror_loss")
    with pytest.raises(ValueError, match="no option 'strenght'; did you mean 'strength'"):
        make_prior("mirror_loss", strenght=1)
    for value in (-1.0, np.nan, np.inf, "much"):
        with pytest.raises(ValueError, match=r"strength=.* is not a weight"):
            make_prior("mirror_loss", strength=value)
    with pytest.raises(ValueError, match="fraction"):
        Augmentation(strength=1.5)
    with pytest.raises(ValueError, match="SO3 is not a subgroup of O2"):
        MirrorLoss("SO3").attach(make(PPO))
    with pytest.raises(ValueError, match="unknown group 'miror'; did you mean 'mirror'"):
        MirrorLoss("miror").attach(make(PPO, Walker))
    with pytest.raises(ValueError, match="group=3 is neither the name of a group nor a Group"):
        MirrorLoss(3).attach(make(PPO))
    for name, options, message in (
        ("gated", {"epochs": "abc"}, "epochs='abc' is not a number of passes"),
        ("gated", {"hidden": 64}, "hidden=64 is not a list of widths"),
        ("gated", {"learning_rate": 0}, "learning_rate=0 learns nothing"),
        ("regulariser", {"turns": 2.5}, "turns=2.5 is not an order of turns"),
        ("symmetry_loss", {"patience": "x"}, "patience='x' is not a number of checks"),
        ("symmetry_loss", {"world": "Ant"}, "world='Ant' is not an environment"),
        ("symmetry_loss", {"decoys": {"x": 1}}, "decoys: 'x' is 1, not an Element"),
    ):
        with pytest.raises(ValueError, match=message):
            make_prior(name, **options)
    assert MirrorLoss(strength=np.float32(0.5)).strength == 0.5
    prior = MirrorLoss()
    model = prior.attach(make(PPO, Walker))
    with pytest.raises(ValueError, match="attached to a model already"):
        prior.attach(make(PPO, Walker))
    with pytest.raises(BreaksSymmetryError, match="norm_obs=False"):
        model.set_env(VecNormalize(DummyVecEnv([Walker])))


# ------------------------------------------------------------------ runs
def config(folder, algo: str, name: str) -> Config:
    hyperparams = {
        "ppo": {"n_steps": 32, "batch_size": 64},
        "sac": {"learning_starts": 64, "batch_size": 32, "train_freq": 8, "gradient_steps": 4},
    }
    return Config(
        env="tests/Point-v0",
        algo=algo,
        network=PRIORS[name].network or "mlp" if name in PRIORS else "mlp",
        prior=[name],
        hyperparams=hyperparams[algo],
        num_threads=1,
        log_folder=str(folder),
        n_timesteps=768,
        n_envs=4,
        rotations=0,
        eval_freq=0,
        save_freq=256,
        keep_checkpoints=0,
    )


RUNS = [
    (algo, name)
    for algo, kind in (("ppo", PPO), ("sac", SAC))
    for name, prior in PRIORS.items()
    if issubclass(kind, prior.algorithms)
]


@SHORT
@pytest.mark.parametrize(("algo", "name"), RUNS)
def test_exact_resume(tmp_path, algo, name):
    """A run that was killed after a checkpoint goes on with the same bits, and so do its priors."""
    options = ",".join(f"{key}:{value}" for key, value in QUICK.get(name, {}).items())
    whole = train(config(tmp_path, algo, f"{name}:{{{options}}}" if options else name))
    run = shutil.copytree(whole.path, tmp_path / "again")
    checkpoints = RunFolder(run).checkpoints
    for step in [step for step in checkpoints.steps() if step > 512]:
        shutil.rmtree(checkpoints.at(step))
    (run / "result.json").unlink()
    again = resume(run)
    assert again.model.num_timesteps == whole.model.num_timesteps
    assert torch.equal(parameters(whole.model), parameters(again.model))
    (one,), (other,) = priors_of(whole.model), priors_of(again.model)
    assert pack(one.state(), (arrays := {})) == pack(other.state(), (others := {}))
    assert all(np.array_equal(arrays[key], others[key]) for key in arrays)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("mirror_los", "unknown prior 'mirror_los'; did you mean 'mirror_loss'"),
        ("mirror_loss:{strength:-1}", "strength=-1 is not a weight"),
        ("mirror_loss:3", "expected mirror_loss:"),
        ("mirror_loss:{group:SO9}", "unknown group 'SO9'"),
    ],
)
def test_priors_of_a_run_are_refused_before_it_begins(tmp_path, words, message):
    with pytest.raises(UsageError, match=message):
        train(config(tmp_path, "ppo", words))
    assert not list(tmp_path.iterdir())
