"""The small trainings that are tortured: seconds each, with several rollouts, updates, evaluations and checkpoints."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import gymnasium

import eqrl
from eqrl.declare import SymmetryWarning

_COMMON = "--eval-episodes 3 --num-threads 1 --no-progress"
_PPO = "--algo ppo -n 2500 --n-envs 8 --save-freq 400 --eval-freq 500"
_OFF_POLICY = "-n 1000 --n-envs 4 --save-freq 160 --eval-freq 350"
_ROLLOUTS = "n_steps:16 batch_size:64 n_epochs:3"
_SMALL = "--policy-kwargs network_kwargs:{hidden:[32,32]}"
_UPDATES = "learning_starts:100 batch_size:32 gradient_steps:1"


@dataclass(frozen=True)
class Job:
    """A training by the public command.

    Attributes:
        name: what tables call it.
        options: those of ``eqrl train``.
    """

    name: str
    options: str

    def command(self, folder: Path) -> list[str]:
        """Arguments of ``eqrl.commands.entry.main`` that begin it, or go on with it if it was interrupted."""
        return ["train", *self.options.split(), *_COMMON.split(), "-f", str(folder)]

    def number(self, option: str) -> int:
        """The value of a numeric option."""
        words = self.options.split()
        return int(words[words.index(option) + 1])

    @property
    def longest_loss(self) -> int:
        """Environment steps that a kill may cost.

        One interval between checkpoints and the rollout that runs over its end.
        """
        per_env = 16 if "--algo ppo" in self.options else 1
        return self.number("--save-freq") + per_env * self.number("--n-envs")


def ppo(name: str, env: str, more: str = "", params: str = "") -> Job:
    """PPO, with a rollout of 16 steps."""
    return Job(name, f"{_PPO} --env {env} {_end(more)} -params {_ROLLOUTS} {params}")


def off_policy(name: str, algo: str, env: str, more: str = "", params: str = "buffer_size:600") -> Job:
    """SAC or TD3, with a replay buffer that overflows."""
    return Job(name, f"--algo {algo} {_OFF_POLICY} --env {env} {_end(more)} -params {_UPDATES} {params}")


def _end(more: str) -> str:
    return more if "--rotations" in more else f"{more} --rotations 0"


def kill_jobs() -> list[Job]:
    """What is killed: PPO and SAC, with hindsight too, and TD3; some end in a zero-shot evaluation."""
    return [
        ppo("ppo", "eqrl/Reach-v0", "--rotations 2"),
        off_policy("sac", "sac", "eqrl/AntTarget-v0", _SMALL),
        off_policy("sac + her", "sac", "eqrl/Reach-v0", _SMALL, params="learning_starts:300 buffer_size:2000"),
        off_policy("td3", "td3", "eqrl/AntTarget-v0", _SMALL, params="buffer_size:2000"),
        ppo("ppo, dummy", "eqrl/Reach-v0", "--vec-env dummy"),
    ]


def resume_jobs() -> list[Job]:
    """Jobs for everything that has a state."""
    reach, ant = "eqrl/Reach-v0", "eqrl/AntTarget-v0"
    her = "learning_starts:300 buffer_size:2000"
    jobs = []
    for vec in ("auto", "dummy"):
        jobs += [
            ppo(f"ppo, {vec}", reach, f"--vec-env {vec}"),
            off_policy(f"sac, {vec}", "sac", ant, f"--vec-env {vec}"),
            off_policy(f"td3, {vec}", "td3", ant, f"--vec-env {vec}"),
            off_policy(f"sac + her, {vec}", "sac", reach, f"--vec-env {vec}", her),
        ]
    scaled = "normalize:{norm_obs:false,norm_reward:true}"
    return [
        *jobs,
        ppo("ppo, normalised rewards", reach, params=scaled),
        off_policy("sac, normalised rewards, dummy", "sac", ant, "--vec-env dummy", f"buffer_size:600 {scaled}"),
        ppo("ppo, augmentation", ant, "--augment --network mlp"),
        off_policy("td3, augmentation", "td3", ant, "--augment --network mlp"),
        ppo("ppo, regular", ant, "--network regular"),
        ppo("ppo, vector", reach, "--network vector"),
        ppo("ppo, MlpPolicy", ant, "--network MlpPolicy"),
        ppo("ppo, MlpPolicy, gSDE", ant, "--network MlpPolicy", "use_sde:true sde_sample_freq:5"),
        off_policy("sac, MlpPolicy, gSDE", "sac", ant, "--network MlpPolicy",
        "buffer_size:600 use_sde:true sde_sample_freq:5"),
        ppo("ppo, mirror loss", ant, "--network MlpPolicy --mirror-loss 0.5"),
        off_policy("sac, mirror loss", "sac", ant, "--network MlpPolicy --mirror-loss 0.5"),
        off_policy(
            "sac, SymmetricReplayBuffer", "sac", ant, "--network MlpPolicy",
            "buffer_size:600 replay_buffer_class:SymmetricReplayBuffer"
        ),
        off_policy(
            "sac, SymmetricHerReplayBuffer", "sac", reach, "--network MlpPolicy",
            f"{her} replay_buffer_class:SymmetricHerReplayBuffer"
        ),
        ppo("ppo, SymmetricRolloutBuffer", ant, "--network MlpPolicy", "rollout_buffer_class:SymmetricRolloutBuffer"),
        ppo("ppo, linear schedule", reach, params="learning_rate:lin_1e-3 clip_range:lin_0.2"),
        off_policy("td3, action noise", "td3", ant, params="buffer_size:600 action_noise:{sigma:0.2}"),
        off_policy("sac, shared rows", "sac", ant,
        params="buffer_size:600 optimize_memory_usage:true replay_buffer_kwargs:{handle_timeout_termination:false}"),
        ppo("ppo, regular, Gymnasium's Ant", "faults/Ant-v0", "--network regular --group full"),
        off_policy("sac, Gymnasium's Ant", "sac", "faults/Ant-v0", "--network MlpPolicy"),
        ppo("ppo, Gymnasium's Humanoid", "faults/Humanoid-v0", "--network MlpPolicy"),
    ]  # fmt: skip


def register_gymnasium_environments() -> None:
    """Gymnasium's MuJoCo environments with types, under ids that the command line takes."""
    makers: Mapping[str, Callable[..., gymnasium.Env]] = {
        f"faults/{robot}-v0": functools.partial(_typed, f"{robot}-v5") for robot in ("Ant", "Humanoid")
    }
    for name, maker in makers.items():
        if name not in gymnasium.registry:
            gymnasium.register(name, entry_point=maker, max_episode_steps=100)


def _typed(name: str, **options: object) -> gymnasium.Env:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SymmetryWarning)  # Gymnasium's humanoid is not quite its mirror image
        return eqrl.with_symmetry(gymnasium.make(name, **options))
