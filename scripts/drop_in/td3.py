"""Stock TD3: an existing script, and the lines that make its policy and its noise equivariant.

python scripts/drop_in/td3.py [STEPS]
"""

import sys

import gymnasium
from stable_baselines3 import TD3

import eqrl  # noqa: F401 (registers the environments)
from eqrl import EquivariantTD3Policy  # new
from eqrl.agents import BallNoise  # new

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
env = gymnasium.make("eqrl/Reach-v0", reward_type="dense")
noise = BallNoise(env.action_space, sigma=0.1)  # was NormalActionNoise(np.zeros(3), 0.1 * np.ones(3))
model = TD3(
    EquivariantTD3Policy, env, action_noise=noise, learning_starts=200, gamma=0.95, seed=0
)  # was "MultiInputPolicy"
model.learn(steps)
model.save("td3_reach")

loaded = TD3.load("td3_reach", env=env)
print(loaded.policy.describe())
