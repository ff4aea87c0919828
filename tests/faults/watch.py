"""Progress of a training in memory that outlives it, so that the killer knows where it was."""

from __future__ import annotations

import functools
import mmap
from collections.abc import Callable
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from eqrl.checkpoint.store import Store
from eqrl.runs import session

PHASES = ("start", "training", "save", "latest", "prune", "best", "resume", "zero-shot", "end")
IN_A_SAVE = ("save", "latest", "prune", "best")


class Watch:
    """Numbers in memory that a forked process shares with its parent."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 4096)
        self._numbers = np.frombuffer(self._memory, dtype=np.int64)
        self._numbers.flags.writeable = True

    def clear(self) -> None:
        """Reset the numbers before a process begins."""
        self._numbers[:4] = (0, 0, -1, -1)

    @property
    def phase(self) -> str:
        """The phase that it was in."""
        return PHASES[int(self._numbers[0])]

    @phase.setter
    def phase(self, name: str) -> None:
        self._numbers[0] = PHASES.index(name)

    @property
    def steps(self) -> int:
        """Environment steps done over all sessions; 0 if it did not get that far."""
        return int(self._numbers[1])

    @property
    def resumed_at(self) -> int:
        """Environment steps of the checkpoint that it went on from, or -1."""
        return int(self._numbers[2])

    def install(self, entered: Callable[[str], None] | None = None) -> None:
        """Make this process report; for a forked child only.

        Args:
            entered: called with the name of every phase that begins.
        """
        for owner, method, phase in (
            (Store, "save", "save"),
            (Store, "_point", "latest"),
            (Store, "prune", "prune"),
            (Store, "save_best", "best"),
            (Store, "sweep", "resume"),
            (Store, "resume", "resume"),
            (session.Session, "_zero_shot", "zero-shot"),
        ):
            self._mark(owner, method, phase, entered)
        resume, on_step, numbers = Store.resume, BaseCallback.on_step, self._numbers

        @functools.wraps(resume)
        def resumed(store: Store, model: Any, *args: Any) -> Any:
            restored = resume(store, model, *args)
            numbers[2] = numbers[1] = model.num_timesteps
            return restored

        @functools.wraps(on_step)
        def stepped(callback: BaseCallback) -> bool:
            numbers[0], numbers[1] = PHASES.index("training"), callback.model.num_timesteps
            return on_step(callback)

        Store.resume = resumed  # type: ignore[method-assign]
        BaseCallback.on_step = stepped  # type: ignore[method-assign]

    def _mark(self, owner: Any, method: str, phase: str, entered: Callable[[str], None] | None) -> None:
        original = getattr(owner, method)

        @functools.wraps(original)
        def marked(*args: Any, **kwargs: Any) -> Any:
            before, self.phase = self.phase, phase
            if entered is not None:
                entered(phase)
            try:
                return original(*args, **kwargs)
            finally:
                self.phase = "end" if phase == "zero-shot" else before

        setattr(owner, method, marked)
