"""Train an agent: ``python -m eqrl.train``, ``eqrl train``, or ``train(Config(...))`` from Python."""

import sys

from eqrl.runs.build import make_env, make_model, resolve
from eqrl.runs.config import DEFAULT_JOB, Config
from eqrl.runs.training import Run, resume, train

__all__ = ["DEFAULT_JOB", "Config", "Run", "make_env", "make_model", "resolve", "resume", "train"]

if __name__ == "__main__":
    from eqrl.commands import main

    sys.exit(main(["train", *sys.argv[1:]]))
