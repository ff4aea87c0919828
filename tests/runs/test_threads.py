"""How the simulation and PyTorch share the cores."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback

import eqrl
from eqrl.threads import ShareCores, simulating


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_simulating_gives_the_cores_away_and_takes_them_back() -> None:
    inside = []

    def fails() -> None:
        with simulating():
            inside.append(torch.get_num_threads())
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert inside == [1]
    assert torch.get_num_threads() == 2


class Watch(BaseCallback):
    """Threads at every step of a rollout; after a rollout, those of the update."""

    def __init__(self) -> None:
        super().__init__()
        self.collecting: set[int] = set()
        self.updating: set[int] = set()

    def _on_step(self) -> bool:
        self.collecting.add(torch.get_num_threads())
        return True

    def _on_rollout_end(self) -> None:
        self.updating.add(torch.get_num_threads())


def test_a_rollout_has_one_thread_and_an_update_all() -> None:
    env = eqrl.make_vec("eqrl/Reach-v0", 2, n_threads=1)
    watch = Watch()
    PPO("MultiInputPolicy", env, n_steps=8, batch_size=16, n_epochs=1, device="cpu").learn(
        32, callback=[ShareCores(), watch]
    )
    assert watch.collecting == {1}
    assert watch.updating == {2}
    assert torch.get_num_threads() == 2
