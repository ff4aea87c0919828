"""Stock SAC: an existing script, and the two lines that make its policy equivariant.

python scripts/drop_in/sac.py [STEPS]
"""

import sys

import gymnasium
from stable_baselines3 import SAC

import eqrl  # noqa: F401 (registers the environments)
from eqrl import EquivariantSACPolicy  # new

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
env = gymnasium.make("eqrl/AntTarget-v0")
model = SAC(EquivariantSACPolicy, env, learning_starts=200, gamma=0.98, seed=0)  # was SAC("MlpPolicy", ...)
model.learn(steps)
model.save("sac_ant_target")

loaded = SAC.load("sac_ant_target", env=env)
print(loaded.policy.describe())
