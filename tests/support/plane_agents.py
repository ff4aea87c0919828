"""Agents on a plane on which the quarter turn is a symmetry."""

import torch
from plane import C4, Plane
from stable_baselines3 import PPO


def agent(policy, **options):
    torch.manual_seed(0)
    return PPO(policy, Plane(C4), n_steps=64, batch_size=32, n_epochs=2, seed=0, device="cpu", **options)
