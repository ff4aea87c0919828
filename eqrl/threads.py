"""Who has the cores when: the simulation while experience is collected, PyTorch while it learns.

PyTorch's worker threads do not sleep after an operation, they spin for some milliseconds in the hope of the next one. The
physics that runs meanwhile in threads of its own then shares its cores with threads that do nothing: measured on 2 cores,
``PPO.learn`` on AntTarget takes 1.5 times as long. Small networks gain nothing from a second thread while they act, so
PyTorch gets one thread while experience is collected and all of them for the update.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from stable_baselines3.common.callbacks import BaseCallback


@contextmanager
def simulating() -> Iterator[None]:
    """Leave the cores to the simulation: one thread for PyTorch inside, as many as before afterwards."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class ShareCores(BaseCallback):
    """One PyTorch thread during every rollout, during updates as many as when this callback was made.

    Works with every algorithm of Stable-Baselines3: ``model.learn(n, callback=ShareCores())``.
    """

    def __init__(self) -> None:
        super().__init__()
        self._threads = torch.get_num_threads()

    def _on_rollout_start(self) -> None:
        torch.set_num_threads(1)

    def _on_rollout_end(self) -> None:
        torch.set_num_threads(self._threads)

    def _on_training_end(self) -> None:
        torch.set_num_threads(self._threads)

    def _on_step(self) -> bool:
        return True
