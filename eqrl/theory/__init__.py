"""Theory oracles: small symmetric decision processes in which what a known symmetry is worth can be computed."""

from eqrl.theory.gridworld import Grid, optimal_values
from eqrl.theory.grouping import action_groups, grouped_policy, policy_values, representatives
from eqrl.theory.kernel import averaged, information_gain, rank, rbf
from eqrl.theory.lsvi import episodes_to_optimum

__all__ = [
    "Grid",
    "action_groups",
    "averaged",
    "episodes_to_optimum",
    "grouped_policy",
    "information_gain",
    "optimal_values",
    "policy_values",
    "rank",
    "rbf",
    "representatives",
]
