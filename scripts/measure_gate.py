"""How well the gate of a run of ``eqrl/AntTarget-v0`` tells the patch in which wind blows from its images.

    eqrl train --env eqrl/AntTarget-v0 --env-kwargs breaking:patch breaking_size:0.5 --network gated --prior gated
    python scripts/measure_gate.py RUN

In 32 simulations, the policy plays 200 steps with its noise. Printed are the share of states in the patch, the mean
gate within it and elsewhere, and the area under the ROC curve of the gate.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from scipy.stats import mannwhitneyu

import eqrl
from eqrl.nn import Gated
from eqrl.symmetry import representation_of

SIMULATIONS, STEPS = 32, 200


def main() -> None:
    """Play and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    options = parser.parse_args()
    model, config = eqrl.load(options.run)
    env = eqrl.make_vec(config.env, SIMULATIONS, seed=1, **(config.env_kwargs or {}))
    x, y, radius = env.get_attr("breaking_patch")[0]
    target = representation_of(env.observation_space).slices["target"]
    actor = next(net for net in model.policy.modules() if isinstance(net, Gated))
    gates, places, observation = [], [], env.reset()
    for _ in range(STEPS):
        with torch.no_grad():
            features = model.policy.pi_features_extractor(torch.as_tensor(observation))
            gates.append(actor.gate(features)[:, 0].numpy())
        places.append(-observation[:, target])  # the torso, as seen from the target
        observation, *_ = env.step(model.predict(observation)[0])
    gate, place = np.concatenate(gates), np.concatenate(places)
    inside = np.hypot(place[:, 0] - x, place[:, 1] - y) < radius
    area = mannwhitneyu(gate[inside], gate[~inside]).statistic / (inside.sum() * (~inside).sum())
    print(
        f"{inside.mean():.0%} of states in the patch; gate {gate[inside].mean():.2f} there and"
        f" {gate[~inside].mean():.2f} elsewhere; area under the ROC curve {area:.2f}"
    )


if __name__ == "__main__":
    main()
