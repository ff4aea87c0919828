"""What every environment is made of: tasks, their batch of simulations, and how its state turns."""

from eqrl.envs.core.arguments import (
    Argument,
    angle,
    anything,
    choice,
    factors,
    flag,
    lengths,
    named,
    number,
    sector,
    whole,
)
from eqrl.envs.core.documentation import documentation
from eqrl.envs.core.layout import StateLayout
from eqrl.envs.core.rendering import add_marker
from eqrl.envs.core.simulation import Simulation
from eqrl.envs.core.task import Outcome, Task
from eqrl.envs.core.world import World

__all__ = [
    "Argument",
    "Outcome",
    "Simulation",
    "StateLayout",
    "Task",
    "World",
    "add_marker",
    "angle",
    "anything",
    "choice",
    "documentation",
    "factors",
    "flag",
    "lengths",
    "named",
    "number",
    "sector",
    "whole",
]
