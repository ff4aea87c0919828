"""TQC of sb3-contrib with hindsight: an existing script, and the two lines that make its policy equivariant.

python scripts/drop_in/tqc.py [STEPS]
"""

import sys

import gymnasium
from sb3_contrib import TQC
from stable_baselines3 import HerReplayBuffer

import eqrl  # noqa: F401 (registers the environments)
from eqrl import EquivariantTQCPolicy  # new

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
env = gymnasium.make("eqrl/Reach-v0")
model = TQC(
    EquivariantTQCPolicy,  # was "MultiInputPolicy"
    env,
    replay_buffer_class=HerReplayBuffer,
    learning_starts=200,
    gamma=0.95,
    tau=0.05,
    seed=0,
)
model.learn(steps)
model.save("tqc_reach")

loaded = TQC.load("tqc_reach", env=env)
print(loaded.policy.describe())
