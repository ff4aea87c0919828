"""Train an agent: ``python -m eqrl.train``, ``eqrl train``, or ``train(Config(...))`` from Python."""

import sys

from eqrl.runs.config import Config
from eqrl.runs.training import Run, resume, train

__all__ = ["Config", "Run", "resume", "train"]

if __name__ == "__main__":
    from eqrl.commands import main

    sys.exit(main(["train", *sys.argv[1:]]))
