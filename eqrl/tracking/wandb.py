"""Weights & Biases: offline, with its files in the run folder, unless ``WANDB_MODE`` says otherwise."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from typing import Any

from eqrl.tracking.tracked_run import PROJECT, STEPS, Description


def begin(description: Description) -> WandbRun:
    """Open a run; ``wandb sync`` sends an offline one to the service later."""
    return WandbRun(description)


class WandbRun:
    """A run of Weights & Biases."""

    def __init__(self, description: Description) -> None:
        import wandb

        self.identity = description.identity or secrets.token_hex(4)
        settings = wandb.Settings(console="off", silent=True, save_code=False, disable_git=True, reinit="create_new")
        self._run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=description.name,
            id=self.identity,
            resume="allow",
            mode=os.environ.get("WANDB_MODE", "offline"),
            dir=str(description.folder),
            config=dict(description.config),
            settings=settings,
        )
        # an axis of our own, because a resumed training repeats the steps after its last checkpoint, and Weights &
        # Biases accepts only increasing steps of its own
        self._run.define_metric(STEPS)
        self._run.define_metric("*", step_metric=STEPS)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Write numbers."""
        self._run.log({**values, STEPS: step})

    def close(self) -> None:
        """Write what waits, and end the run."""
        self._run.finish()
