"""The search for hyperparameters: search spaces, studies that survive their processes, and trials.

A trial is an ordinary training run. Optuna, an extra, proposes its options and stops those that fall behind.
"""

from eqrl.tuning.setup import Setup
from eqrl.tuning.space import Space
from eqrl.tuning.study import Best, Study

__all__ = ["Best", "Setup", "Space", "Study"]
