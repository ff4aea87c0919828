"""Stock PPO: an existing script, and the two lines that make its policy equivariant.

python scripts/drop_in/ppo.py [STEPS]
"""

import sys

from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env

import eqrl  # noqa: F401 (registers the environments)
from eqrl import EquivariantPolicy  # new

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 300_000
env = make_vec_env("eqrl/AntTarget-v0", n_envs=8, seed=0)
model = PPO(EquivariantPolicy, env, n_steps=256, batch_size=512, gamma=0.98, seed=0)  # was PPO("MlpPolicy", ...)
model.learn(steps)
model.save("ppo_ant_target")

loaded = PPO.load("ppo_ant_target", env=env)
print(loaded.policy.describe())
