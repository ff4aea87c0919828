"""Stock SAC with hindsight: an existing script, and the two lines that make its policy equivariant.

python scripts/drop_in/sac_her.py [STEPS]
"""

import sys

import gymnasium
from stable_baselines3 import SAC, HerReplayBuffer

import eqrl  # noqa: F401 (registers the environments)
from eqrl import EquivariantSACPolicy  # new

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
env = gymnasium.make("eqrl/Reach-v0")
model = SAC(
    EquivariantSACPolicy,  # was "MultiInputPolicy"
    env,
    replay_buffer_class=HerReplayBuffer,
    replay_buffer_kwargs={"n_sampled_goal": 4, "goal_selection_strategy": "future"},
    learning_starts=200,
    gamma=0.95,
    tau=0.05,
    seed=0,
)
model.learn(steps)
model.save("sac_her_reach")

loaded = SAC.load("sac_her_reach", env=env)
print(loaded.policy.describe())
