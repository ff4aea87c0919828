"""The progress of a training: a bar in a terminal, occasional lines in a file."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text
from stable_baselines3.common.callbacks import BaseCallback

_LINES = 20  # per run, in a file
_REFRESH = 0.2  # seconds


class ShowProgress(BaseCallback):
    """Show steps, rate, remaining time, and the current return and success.

    Args:
        total: environment steps at the end of the run.
        console: where to print.
    """

    def __init__(self, total: int, console: Console) -> None:
        super().__init__()
        self.total = total
        self.console = console
        self._bar: Progress | None = None
        self._shown = 0.0
        self._next_line = 0

    def _on_training_start(self) -> None:
        self._start, self._first = time.monotonic(), self.model.num_timesteps
        self._next_line = self._first + self.total // _LINES
        if self.console.is_terminal:
            self._bar = Progress(
                BarColumn(bar_width=None),
                TextColumn("{task.percentage:>3.0f}%"),
                TextColumn("{task.completed:,.0f}/{task.total:,.0f} steps"),
                _Rate(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[state]}"),
                console=self.console,
                expand=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("", total=self.total, completed=self._first, state="", rate=0.0)

    def _on_step(self) -> bool:
        now = time.monotonic()
        if self._bar is not None:
            if now - self._shown > _REFRESH:
                self._shown = now
                self._update(self._bar)
        elif self.num_timesteps >= self._next_line:
            self._next_line = self.num_timesteps + self.total // _LINES
            rate = self._rate()
            left = max(self.total - self.num_timesteps, 0) / max(rate, 1e-9)
            self.console.print(
                f"{self.num_timesteps:>11,}/{self.total:,} steps  {rate:>7,.0f} steps/s  {left:>5.0f} s left "
                f" {self._state()}",
                highlight=False,
                soft_wrap=True,
            )
        return True

    def _on_training_end(self) -> None:
        if self._bar is not None:
            self._update(self._bar)
            self.close()

    def close(self) -> None:
        """Release the terminal, also after an error."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _update(self, bar: Progress) -> None:
        bar.update(self._task, completed=min(self.num_timesteps, self.total), state=self._state(), rate=self._rate())

    def _rate(self) -> float:
        return (self.num_timesteps - self._first) / max(time.monotonic() - self._start, 1e-9)

    def _state(self) -> str:
        episodes: Any = self.model.ep_info_buffer
        parts = []
        if episodes:
            parts.append(f"return {np.mean([e['r'] for e in episodes]):.2f}")
        if self.model.ep_success_buffer:
            parts.append(f"success {np.mean(self.model.ep_success_buffer):.0%}")
        return "  ".join(parts)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.fields['rate']:,.0f} steps/s", style="progress.data.speed")
