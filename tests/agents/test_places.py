"""A graph policy is blind to where the scene is, in every task that has graphs."""

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3 import PPO

from eqrl import EquivariantPolicy
from eqrl.symmetry import representation_of

DISPLACEMENTS = {"to_end", "to_object", "finger_offset", "middle", "hole"}  # the same wherever the scene is
TASKS = {
    "Sliding": {},
    "Push": {"view": "points"},
    "Insertion": {},
    "Insertion, unmatched": {"correspondence": False},
    "InsertionTwoHands": {},
    "RopeClosing": {},
    "RopeShaping": {},
    "ClothHanging": {},
    "PickAndPlace": {},
}


@pytest.mark.parametrize("task", TASKS)
def test_a_scene_elsewhere_is_the_same_scene(task):
    env = gym.make(f"eqrl/{task.partition(',')[0]}-v0", **TASKS[task])
    model = PPO(EquivariantPolicy, env, n_steps=16, batch_size=16, seed=0, policy_kwargs={"network": "hetero"})
    model.learn(64)  # the normaliser has seen something
    here = [env.reset(seed=seed)[0] for seed in range(8)]
    here = {key: np.stack([observation[key] for observation in here]) for key in here[0]}
    there, count = {}, 0
    for key, space in env.observation_space.items():
        rep, there[key] = representation_of(space), here[key].copy()
        for field in rep.fields:
            if field.unit == "m" and field.irreps == "1x1o" and field.name not in DISPLACEMENTS:
                there[key][:, rep.slices[field.name]] += np.tile([0.7, -0.4, 0.3][: field.width], rep.count(field))
                count += 1
    assert count >= 3
    actions, values = (
        [model.predict(scene, deterministic=True)[0] for scene in (here, there)],
        [model.policy.predict_values(model.policy.obs_to_tensor(scene)[0]).detach() for scene in (here, there)],
    )
    assert np.abs(actions[0]).max() > 1e-3
    assert np.abs(actions[1] - actions[0]).max() < 1e-4
    assert float((values[1] - values[0]).abs().max()) < 1e-4
