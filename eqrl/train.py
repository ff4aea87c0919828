"""Train an agent: :func:`train`, ``eqrl train`` or ``python -m eqrl.train``."""

import sys

from eqrl.runs.config import DEFAULT_JOB, Config
from eqrl.runs.environments import make_env
from eqrl.runs.models import make_model
from eqrl.runs.resolution import resolve
from eqrl.runs.session import Run
from eqrl.runs.training import resume, train

__all__ = ["DEFAULT_JOB", "Config", "Run", "make_env", "make_model", "resolve", "resume", "train"]

if __name__ == "__main__":
    from eqrl.commands import main

    sys.exit(main(["train", *sys.argv[1:]]))
