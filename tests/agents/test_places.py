"""A graph policy is blind to where the scene is, in every task that has graphs."""

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3 import PPO

from eqrl import EquivariantPolicy
from eqrl.symmetry import SO2, EntitySet, Field, Representation, TypedBox, representation_of

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
    here, there = scenes_elsewhere(env)
    actions, values = (
        [model.predict(scene, deterministic=True)[0] for scene in (here, there)],
        [model.policy.predict_values(model.policy.obs_to_tensor(scene)[0]).detach() for scene in (here, there)],
    )
    assert np.abs(actions[0]).max() > 1e-3
    assert np.abs(actions[1] - actions[0]).max() < 1e-4
    assert float((values[1] - values[0]).abs().max()) < 1e-4


@pytest.mark.parametrize("network", ["residual", "gated"])
def test_an_exact_graph_within_another_network_is_too(network):
    options = {"network": network, "network_kwargs": {"exact": "hetero", "hidden": (16, 16)}}
    env = gym.make("eqrl/Sliding-v0")
    model = PPO(EquivariantPolicy, env, n_steps=16, batch_size=16, seed=0, policy_kwargs=options)
    model.learn(64)
    features = [model.policy.obs_to_tensor(scene)[0] for scene in scenes_elsewhere(env)]
    here, there = (model.policy.action_net.exact(model.policy.pi_features_extractor(scene)) for scene in features)
    assert float(here.abs().max().detach()) > 1e-3
    assert float((there - here).abs().max().detach()) < 1e-4


class Places(gym.Env):
    """Goals are places of points, one of which is not there."""

    points = (EntitySet("points", ("point",) * 4),)
    fields = (
        Field("place", "1x1o", "points", mask="there"),
        Field("there", "1x0e", "points", role="mask"),
    )
    goal = Representation(fields, points, SO2)

    def __init__(self):
        free = Representation((Field("wind", "1x1o"),), (), SO2)
        goals = dict.fromkeys(("achieved_goal", "desired_goal"), TypedBox(self.goal))
        self.observation_space = gym.spaces.Dict({"observation": TypedBox(free), **goals})
        self.action_space = TypedBox(Representation((Field("force", "1x1o"),), (), SO2), -1.0, 1.0)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observed(), {}

    def step(self, action):
        return self.observed(), 0.0, False, False, {}

    def observed(self):
        draw = self.np_random.normal
        goals = [draw(size=16).astype(np.float32) for _ in range(2)]
        for goal in goals:
            goal[self.goal.slices["there"]] = [1, 1, 1, 0]
        return {"observation": draw(size=3).astype(np.float32), "achieved_goal": goals[0], "desired_goal": goals[1]}


@pytest.mark.parametrize("network", ["vector", "hetero"])
def test_goals_with_a_mask_are_seen(network):
    env = Places()
    model = PPO(EquivariantPolicy, env, n_steps=16, batch_size=16, seed=0, policy_kwargs={"network": network})
    model.learn(16)
    here, _ = env.reset(seed=0)
    there = {**here, "desired_goal": here["desired_goal"].copy()}
    there["desired_goal"][env.goal.slices["place"]] += 1.0
    values = [model.policy.predict_values(model.policy.obs_to_tensor(scene)[0]).item() for scene in (here, there)]
    assert abs(values[1] - values[0]) > 1e-3


def scenes_elsewhere(env):
    """Eight observations, and the same of scenes that lie elsewhere."""
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
    return here, there
