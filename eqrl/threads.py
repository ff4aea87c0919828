"""Share the cores: the simulation has them while experience is collected, PyTorch during updates.

PyTorch's worker threads do not sleep after an operation but spin for some milliseconds, waiting for the next one. The
physics threads then share their cores with threads that do nothing: measured on 2 cores, ``PPO.learn`` on AntTarget
takes 1.5 times as long. Small networks gain nothing from a second thread while they act, so PyTorch gets one thread
while experience is collected and all threads for the update.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from stable_baselines3.common.callbacks import BaseCallback


@contextmanager
def simulating() -> Iterator[None]:
    """Leave the cores to the simulation: PyTorch has one thread inside, and its previous number afterwards."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class ShareCores(BaseCallback):
    """Give PyTorch one thread during rollouts, and during updates as many as when this callback was made.

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
