"""Gymnasium-Robotics' Fetch tasks: what breaks their symmetry, and a short training with SAC and hindsight.

python scripts/check_fetch.py [--tasks FetchPush-v4 FetchPickAndPlace-v4] [--steps 5000]

Needs ``pip install "eqrl[robotics]"``.
"""

from __future__ import annotations

import argparse

import mujoco
import numpy as np
from stable_baselines3 import SAC, HerReplayBuffer
from stable_baselines3.common.env_util import make_vec_env

import eqrl
from eqrl.declare import make_fetch
from eqrl.symmetry import SymmetryError

ARM = ("robot0:mocap", "robot0:base_link")


def without_arm(path: str, cone: mujoco.mjtCone) -> mujoco.MjModel:
    """The model of a Fetch task without its arm, on a plane at the height of its table.

    Args:
        path: of the model.
        cone: friction cone.
    """
    spec = mujoco.MjSpec.from_file(path)
    top = max(float(b.pos[2] + b.geoms[0].size[2]) for b in spec.bodies if b.name == "table0")
    for name in (*ARM, "table0"):
        spec.delete(spec.body(name))
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1], pos=[0, 0, top], condim=3)
    spec.option.cone = cone
    return spec.compile()


def report_symmetry(env_id: str) -> None:
    """Print what breaks the rotation about gravity: of the task, and of its object alone under either cone."""
    env = make_fetch(env_id)
    try:
        eqrl.check_environment(env, episodes=2, steps=20)
    except SymmetryError as error:
        print(f"{env_id}: {error}")
    for cone in (mujoco.mjtCone.mjCONE_PYRAMIDAL, mujoco.mjtCone.mjCONE_ELLIPTIC):
        verdict = eqrl.verify(without_arm(env.unwrapped.fullpath, cone))[0]  # type: ignore[attr-defined]
        cause = f"; cause: {verdict.cause.id}" if verdict.cause else ""
        print(f"without arm, {cone.name}: {verdict.name} {'holds' if verdict.holds else 'breaks'},"
              f" {verdict.error_50:.0e} after 50 steps{cause}")  # fmt: skip
    env.close()


def train(env_id: str, steps: int, episodes: int = 20) -> float:
    """Train for some steps and return the share of episodes that end in success."""
    env = make_vec_env(lambda: make_fetch(env_id), 4, seed=0)
    model = SAC(
        eqrl.EquivariantSACPolicy,
        env,
        replay_buffer_class=HerReplayBuffer,
        replay_buffer_kwargs={"n_sampled_goal": 4, "goal_selection_strategy": "future"},
        learning_rate=1e-3,
        learning_starts=800,
        gradient_steps=2,
        gamma=0.95,
        tau=0.05,
        seed=0,
        policy_kwargs={"network": "vector", "network_kwargs": {"hidden": [128, 128]}},
    ).learn(steps)
    successes = []
    observation = env.reset()
    while len(successes) < episodes:
        observation, _, dones, infos = env.step(model.predict(observation, deterministic=True)[0])
        successes += [bool(info["is_success"]) for info, done in zip(infos, dones, strict=True) if done]
    env.close()
    return float(np.mean(successes))


def main() -> None:
    """Check and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=["FetchPush-v4", "FetchPickAndPlace-v4"])
    parser.add_argument("--steps", type=int, default=5_000, help="of the training; 0 for none")
    options = parser.parse_args()
    for env_id in options.tasks:
        report_symmetry(env_id)
        if options.steps:
            print(f"{env_id}: success {train(env_id, options.steps):.2f} after {options.steps} steps", flush=True)


if __name__ == "__main__":
    main()
