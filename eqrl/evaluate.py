"""Evaluate a run on rotated worlds: :func:`evaluate`, ``eqrl evaluate`` or ``python -m eqrl.evaluate``."""

import sys

from eqrl.commands.evaluate import evaluate
from eqrl.evaluation.protocol import ZeroShot
from eqrl.runs.zero_shot import evaluate_model, write_json

__all__ = ["ZeroShot", "evaluate", "evaluate_model", "write_json"]

if __name__ == "__main__":
    from eqrl.commands import main

    sys.exit(main(["evaluate", *sys.argv[1:]]))
