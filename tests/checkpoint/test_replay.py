"""The replay buffer as a log of chunks."""

import numpy as np
import pytest
from stable_baselines3.common.buffers import DictReplayBuffer, ReplayBuffer
from stable_baselines3.her.her_replay_buffer import HerReplayBuffer
from toy_envs import Reach

from eqrl.checkpoint import replay
from eqrl.checkpoint.replay import ReplayLog, mutable_part, restore_mutable_part
from eqrl.checkpoint.values import DamagedValuesError

N = 3


def buffer(kind, size, **options):
    env = Reach()
    space = env.observation_space if kind is not ReplayBuffer else env.observation_space["observation"]
    if kind is HerReplayBuffer:
        options["env"] = None
    return kind(size * N, space, env.action_space, n_envs=N, **options)


def add(into, rng, rows):
    for _ in range(rows):

        def observation():
            space = into.observation_space
            if isinstance(into, DictReplayBuffer):
                return {k: rng.normal(size=(N, *s.shape)).astype(np.float32) for k, s in space.spaces.items()}
            return rng.normal(size=(N, *space.shape)).astype(np.float32)

        done = rng.random(N) < 0.2
        infos = [{"TimeLimit.truncated": bool(d), "note": float(rng.random())} for d in done]
        into.add(observation(), observation(), rng.normal(size=(N, into.action_dim)), rng.normal(size=N), done, infos)


def contents(of):
    table = {"pos": of.pos, "full": of.full, **replay._columns(of), **mutable_part(of)}
    if isinstance(of, HerReplayBuffer):
        table["infos"] = of.infos
    return table


CASES = [
    (ReplayBuffer, {}),
    (ReplayBuffer, {"optimize_memory_usage": True, "handle_timeout_termination": False}),
    (DictReplayBuffer, {}),
    (HerReplayBuffer, {}),
    (HerReplayBuffer, {"copy_info_dict": True}),
]


@pytest.mark.parametrize(("kind", "options"), CASES)
def test_it_comes_back_to_the_bit_at_every_checkpoint(tmp_path, monkeypatch, kind, options):
    monkeypatch.setattr(replay, "_CHUNK_BYTES", 3000)
    rng = np.random.default_rng(0)
    written, log, rows = buffer(kind, 40, **options), ReplayLog(tmp_path), 0
    for new in (0, 1, 7, 30, 2, 0, 15, 100, 40, 3):  # over the end of the ring, and more than once around
        add(written, rng, new)
        rows += new
        entries = log.append(written, rows)
        again, other = buffer(kind, 40, **options), ReplayLog(tmp_path, entries)
        other.fill(again, rows)
        restore_mutable_part(again, mutable_part(written))
        expected, restored = contents(written), contents(again)
        for name, value in expected.items():
            np.testing.assert_array_equal(restored[name], value, err_msg=f"{name} after {rows} rows")
        log.prune(set(entries))
    assert len(list(tmp_path.iterdir())) == len(entries)


def test_only_new_rows_are_written(tmp_path):
    rng, written, log = np.random.default_rng(0), buffer(ReplayBuffer, 1000), ReplayLog(tmp_path)
    add(written, rng, 500)
    first = log.append(written, 500)
    stamps = {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    add(written, rng, 5)
    second = log.append(written, 505)
    new = set(second) - set(first)
    assert len(new) == 1
    assert second[new.pop()].bytes < 0.05 * sum(entry.bytes for entry in first.values())
    assert all((tmp_path / name).stat().st_mtime_ns == stamp for name, stamp in stamps.items())


def test_chunks_of_another_buffer_are_refused(tmp_path):
    rng, written, log = np.random.default_rng(0), buffer(ReplayBuffer, 100), ReplayLog(tmp_path)
    add(written, rng, 50)
    entries = log.append(written, 50)
    with pytest.raises(DamagedValuesError, match="no column"):
        ReplayLog(tmp_path, entries).fill(buffer(DictReplayBuffer, 100), 50)
    with pytest.raises(DamagedValuesError, match="rows 50 to 60 of the replay buffer are missing"):
        ReplayLog(tmp_path, entries).fill(buffer(ReplayBuffer, 100), 60)
    with pytest.raises(DamagedValuesError, match="rows 0 to 50 of the replay buffer are missing"):
        ReplayLog(tmp_path, {}).fill(buffer(ReplayBuffer, 100), 50)
    with pytest.raises(DamagedValuesError, match="is not the name of a chunk"):
        replay.span("../../etc/passwd")


def test_rows_outside_of_their_episodes_are_refused(tmp_path):
    rng = np.random.default_rng(0)
    written, log = buffer(HerReplayBuffer, 40), ReplayLog(tmp_path)
    add(written, rng, 70)
    log.append(written, 70)
    good = mutable_part(written)
    for name, value in (("ep_length", 1), ("ep_length", 99999), ("ep_length", -1)):
        again = buffer(HerReplayBuffer, 40)
        log.fill(again, 70)
        with pytest.raises(DamagedValuesError, match=r"of impossible length|outside of their episodes"):
            restore_mutable_part(again, {**good, name: np.full_like(good[name], value)})
    again.ep_start[:] = np.iinfo(np.int64).max
    with pytest.raises(DamagedValuesError, match="outside of their episodes"):
        restore_mutable_part(again, good)
