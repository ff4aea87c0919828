"""Stopping cleanly: the first Ctrl-C (or SIGTERM) ends the training at the next step, the second one at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback


class StopOnSignal(BaseCallback):
    """A callback and context manager that turns the first signal into the end of ``learn``.

    Between two steps the model is whole, in the middle of an update it is not; so the signal only sets a flag.

    Attributes:
        stopped: whether a signal came.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stopped = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopOnSignal:
        """Take over the signals; only the main thread may, elsewhere nothing happens."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._stop)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        """Give the signals back."""
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopped = True
        self._restore()

    def _on_step(self) -> bool:
        return not self.stopped
