"""Stop cleanly: the first signal ends the training at the next rollout, with a checkpoint.

A second one ends it at once.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

# Sent by Ctrl-C, by a cluster's scheduler, and by its early warning. SIGUSR1 does not exist on Windows.
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name))


class StoppedBySignal(Exception):
    """Leaves ``learn`` at the start of a rollout, where the model is consistent, or leaves the final evaluation."""


class StopOnSignal:
    """A context manager that turns the first signal into a request and lets the second one through.

    During a rollout or an update the training is not consistent, so the signal only sets a flag.

    Args:
        at_once: raise :class:`StoppedBySignal` instead, because everything is saved already.

    Attributes:
        stopped: whether a signal has arrived.
    """

    def __init__(self, at_once: bool = False) -> None:
        self.stopped = False
        self._at_once = at_once
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopOnSignal:
        """Install the handlers; only the main thread may do so, and in other threads nothing happens."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:  # a shell ignores signals for background jobs
                    self._before[number] = signal.signal(number, self._stop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restore the previous handlers."""
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopped = True
        self._restore()
        if self._at_once:
            raise StoppedBySignal
