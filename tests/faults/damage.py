"""Damage the files of runs at random, then load and resume them."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

import eqrl
from eqrl.checkpoint import CheckpointWarning, capture
from eqrl.checkpoint.parameters import policy_tensors, training_tensors
from eqrl.checkpoint.replay import _columns, mutable_part
from eqrl.checkpoint.store import Store
from eqrl.checkpoint.training import capture_training
from eqrl.checkpoint.values import Arrays, pack
from eqrl.commands import main as command
from eqrl.errors import UsageError
from eqrl.runs.config import Config
from eqrl.runs.environments import make_env
from eqrl.runs.folder import RunFolder
from eqrl.runs.models import make_model
from faults.children import in_child
from faults.fingerprint import differences, fingerprint, flatten
from faults.jobs import Job, off_policy, ppo
from faults.kills import runs_in

WAYS = ("bit flip", "several bit flips", "cut", "emptied", "deleted", "zeroed tail", "appended bytes", "swapped")
KINDS = {
    "manifest": "checkpoints/step_*/manifest.json",
    "policy": "checkpoints/step_*/policy.safetensors",
    "optimisers": "checkpoints/step_*/training.safetensors",
    "state": "checkpoints/step_*/state.json",
    "state's arrays": "checkpoints/step_*/state.npz",
    "episodes": "checkpoints/step_*/episodes.npz",
    "replay chunk": "replay/rows_*.npz",
    "best's manifest": "checkpoints/best_*/manifest.json",
    "best's policy": "checkpoints/best_*/policy.safetensors",
    "pointer": "checkpoints/[lb]*t",
    "configuration": "config.yaml",
}
# read only by a resumed training; without a checksum, because they are logs and notes for people
TEXTS = {
    "evaluations": "evaluations.csv",
    "progress": "progress.csv",
    "result": "result.json",
    "owner": "owner.json",
    "lock": "lock",
    "TensorBoard": "tensorboard/events*",
    "readme": "README.md",
}


def damage_jobs() -> list[Job]:
    """With every kind of file."""
    return [
        ppo("ppo", "eqrl/Reach-v0"),
        off_policy("sac + her", "sac", "eqrl/Reach-v0", params="learning_starts:300 buffer_size:2000"),
    ]


def run(work: Path, seed: int, damages: int, through_the_command: int, processes: int) -> dict[str, Any]:
    """Damage runs and count what happens.

    Args:
        work: an empty folder.
        seed: of everything random.
        damages: how many are tried by loading and by restoring a training in this process.
        through_the_command: how many are tried by ``eqrl train --resume`` in a forked process.
        processes: how many of those are tried in a real new process.
    """
    begun = time.monotonic()
    rng, tally = random.Random(seed), _Tally()
    subjects = [s for i, job in enumerate(damage_jobs()) for s in _subjects(job, work / f"job_{i}")]
    plans = [(subject, kind) for subject in subjects for kind in KINDS if any(subject.run.glob(KINDS[kind]))]
    for i in range(damages):
        subject, kind = plans[i % len(plans)]
        _try(subject, kind, WAYS[(i + i // len(plans)) % len(WAYS)], rng, tally)
    kinds = {**KINDS, **TEXTS}
    plans = [(subject, kind) for subject in subjects for kind in kinds if any(subject.run.glob(kinds[kind]))]
    rng.shuffle(plans)
    for i in range(through_the_command):
        subject, kind = plans[i % len(plans)]
        _go_on(subject, kind, rng.choice(WAYS), work / f"copy_{i}", rng, tally, in_a_new_process=i < processes)
    return {
        "damages": tally.damages,
        "by_kind": dict(tally.kinds),
        "by_way": dict(tally.ways),
        "outcomes": dict(tally.outcomes),
        "through_the_command": through_the_command,
        "of_them_in_new_processes": min(processes, through_the_command),
        "failures": tally.failures,
        "seconds": round(time.monotonic() - begun, 1),
    }


class _Tally:
    def __init__(self) -> None:
        self.damages = 0
        self.kinds: Counter[str] = Counter()
        self.ways: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.failures: list[str] = []

    def count(self, kind: str, way: str) -> None:
        self.damages += 1
        self.kinds[kind] += 1
        self.ways[way] += 1

    def fail(self, what: str) -> None:
        self.failures.append(what)
        print(f"FAILED {what}", flush=True)


class Subject:
    """A run, with everything that its checkpoints hold as long as they are undamaged.

    Attributes:
        run: its folder.
        finished: whether it is.
    """

    def __init__(self, run: Path, finished: bool, end: dict[str, Any]) -> None:
        self.run, self.finished, self.end = run, finished, end
        folder, store = RunFolder(run), Store(run)
        self.config = folder.config()
        env = make_env(self.config, seed=self.config.seed)
        self.model = make_model(self.config, env)
        self.model.set_logger(Logger(None, []))
        self.steps = store.steps()
        self.policies = {step: policy_digest(eqrl.load(run, step)[0]) for step in self.steps}
        best = eqrl.load(run, "best")[0]
        self.best = (best.num_timesteps, policy_digest(best))
        self.states = {}
        for step in self.steps:
            checkpoint = store.at(step)
            restored = store.resume(self.model, checkpoint, store.verified(checkpoint, complete=True))
            self.states[step] = state_digest(self.model, restored)


def _subjects(job: Job, folder: Path) -> Iterator[Subject]:
    """The same training finished, and killed in its last third."""
    for finished in (True, False):
        home = folder / ("finished" if finished else "unfinished")

        def train(home: Path = home, finished: bool = finished) -> int:
            if not finished:
                die_at_save(6)
            return command(job.command(home))

        in_child(train, folder.with_suffix(".txt"))
        run = runs_in(home)[0]
        if finished:
            end = fingerprint(run)
        elif (run / "result.json").exists():
            raise RuntimeError(f"{run} was not interrupted")
        yield Subject(run, finished, end)


def die_at_save(count: int) -> None:
    """Kill this process at the end of a given save.

    Args:
        count: number of the save, from 1.
    """
    save, left = Store.save, [count]

    def counted(store: Store, *args: Any) -> Path:
        checkpoint = save(store, *args)
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), 9)
        return checkpoint

    Store.save = counted  # type: ignore[method-assign]


def policy_digest(model: BaseAlgorithm) -> str:
    """Checksum of all parameters."""
    return _digest({name: value.detach().cpu().numpy().tobytes() for name, value in policy_tensors(model).items()})


def state_digest(model: BaseAlgorithm, restored: dict[str, Any]) -> str:
    """Checksum of everything that ``Store.resume`` restores."""
    tensors, optimizers = training_tensors(model)
    arrays: Arrays = {}
    env = model.get_env()
    assert env is not None
    parts = {
        "training": capture_training(model),
        "environment": capture(env),
        "kept": restored,
        "optimizers": optimizers,
    }
    table: dict[str, Any] = {}
    flatten("", pack(parts, arrays), arrays, table)
    table |= {
        name: value.detach().cpu().numpy().tobytes() for name, value in {**policy_tensors(model), **tensors}.items()
    }
    if isinstance(model, OffPolicyAlgorithm) and model.replay_buffer is not None:
        used = model.replay_buffer.size()
        table |= {name: ring[:used].tobytes() for name, ring in _columns(model.replay_buffer).items()}
        table |= {name: value.tobytes() for name, value in mutable_part(model.replay_buffer).items()}
        table["pos"] = (model.replay_buffer.pos, model.replay_buffer.full)
    return _digest(table)


def _digest(table: dict[str, Any]) -> str:
    digest = hashlib.sha256()
    for name in sorted(table):
        digest.update(repr((name, table[name])).encode())
    return digest.hexdigest()


# ---------------------------------------------------------------------- damage
def damage(run: Path, pattern: str, way: str, rng: random.Random) -> tuple[str, dict[Path, bytes]]:
    """Damage one file of those that fit a pattern.

    Returns:
        What was done, in words; and what the files were before.
    """
    path = rng.choice(sorted(p for p in run.glob(pattern) if p.is_file()))
    others = [p for p in sorted(run.glob(pattern)) if p != path and p.read_bytes() != path.read_bytes()]
    other = rng.choice(others) if others and way == "swapped" else None
    before = {p: p.read_bytes() for p in (path, other) if p is not None}
    return f"{path.relative_to(run)}: {_damage(path, other, way, rng)}", before


def _damage(path: Path, other: Path | None, way: str, rng: random.Random) -> str:
    content = bytearray(path.read_bytes())
    size = len(content)
    if way == "deleted" or not size:
        path.unlink()
        return "deleted"
    if way == "swapped" and other is not None:
        path.write_bytes(other.read_bytes())
        other.write_bytes(content)
        return f"swapped with {other.parent.name}/{other.name}"
    if way in ("bit flip", "several bit flips", "swapped"):
        places = [rng.randrange(8 * size) for _ in range(1 if way == "bit flip" else 8)]
        for place in set(places):
            content[place // 8] ^= 1 << place % 8
        path.write_bytes(content)
        return f"bits {places} flipped"
    where = rng.randrange(size)
    if way == "zeroed tail":
        where -= where % min(512, size)  # as a crash of the machine leaves it
        if content[where:].strip(b"\0"):
            path.write_bytes(content[:where] + bytes(size - where))
            return f"zeroes from byte {where}"
        way = "cut"
    path.write_bytes(
        {"cut": content[:where], "emptied": b"", "appended bytes": content + rng.randbytes(1 + where % 99)}[way]
    )
    return f"{way} (byte {where})"


def _try(subject: Subject, kind: str, way: str, rng: random.Random, tally: _Tally) -> None:
    step, newest = rng.choice(subject.steps), subject.steps[0]
    what, before = damage(subject.run, KINDS[kind], way, rng)
    tally.count(kind, way)
    for name, attempt in (
        ("last", lambda: _loaded(subject, "last", newest)),
        ("best", lambda: _loaded(subject, "best", subject.best[0])),
        (f"step {step}", lambda: _loaded(subject, step, step)),
        ("going on", lambda: _restored(subject, newest)),
    ):
        outcome = _outcome(attempt)
        tally.outcomes[f"{name.split()[0]}: {outcome.split(';')[0]}"] += 1
        if outcome.startswith("WRONG"):
            tally.fail(f"{way}: {subject.run.parent.parent.parent.name} {what}, {name}: {outcome}")
    for path, content in before.items():
        path.write_bytes(content)


def _outcome(attempt: Callable[[], str]) -> str:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = attempt()
        except UsageError as error:
            text = str(error)
            return "error in one line" if text and "\n" not in text else f"WRONG; message {text!r}"
        except BaseException as error:
            return f"WRONG; {type(error).__name__}: {error}"
    warned = any(issubclass(w.category, CheckpointWarning) for w in caught)
    if result == "older":
        return "an older checkpoint, with a warning" if warned else "WRONG; an older checkpoint without a warning"
    return "as it was" if result == "right" else f"WRONG; {result}"


def _loaded(subject: Subject, which: str | int, expected: int) -> str:
    model, config = eqrl.load(subject.run, which)
    step = model.num_timesteps
    right = subject.best[1] if which == "best" else subject.policies.get(step)
    if policy_digest(model) != right or config != subject.config or (which != "last" and step != expected):
        return f"other values at step {step}"
    return "right" if step == expected else "older"


def _restored(subject: Subject, expected: int) -> str:
    folder = RunFolder.open(subject.run)
    store = folder.checkpoints
    checkpoint, manifest = store.newest(complete=True)
    config: Config = folder.stored_config(checkpoint, manifest)
    restored = store.resume(subject.model, checkpoint, manifest)
    if state_digest(subject.model, restored) != subject.states[manifest.step] or config != subject.config:
        return f"other values at step {manifest.step}"
    return "right" if manifest.step == expected else "older"


# ---------------------------------------------------------------------- the command
def _go_on(
    subject: Subject, kind: str, way: str, copy: Path, rng: random.Random, tally: _Tally, *, in_a_new_process: bool
) -> None:
    """Damage a copy and train it to the end."""
    shutil.copytree(subject.run, copy)
    what, _ = damage(copy, {**KINDS, **TEXTS}[kind], way, rng)
    tally.count(kind, way)
    code, errors = resumed(copy, copy.with_suffix(".txt"), in_a_new_process=in_a_new_process)
    # a checkpoint that is passed over is told before, with the line of code as Python does it
    lines = [line for line in errors.splitlines() if "is passed over" not in line and not line.startswith("  ")]
    # logs have no checksum: damaged rows stay damaged, and only new rows are right
    spared = {"progress": "progress/", "TensorBoard": "tensorboard/", "evaluations": "evaluation/"}.get(
        kind, "nothing/"
    )
    if kind == "evaluations" and not subject.finished:
        spared = "nothing/"  # the file is written anew from the checkpoint
    if code == 2 and len(lines) == 1 and lines[0].startswith("eqrl: error: "):
        outcome = "error in one line"
    elif code == 0 and "Traceback" not in errors:
        wrong = [name for name in differences(subject.end, fingerprint(copy)) if not name.startswith(spared)]
        outcome = f"WRONG; {wrong[:3]}" if wrong else "ends as it would have"
    else:
        outcome = f"WRONG; exit code {code}, {len(lines)} lines: {errors[-400:]}"
    tally.outcomes[f"command: {outcome.split(';')[0]}"] += 1
    if outcome.startswith("WRONG"):
        tally.fail(f"{way}: {subject.run.parent.parent.parent.name} {what}, eqrl train --resume: {outcome}")
    shutil.rmtree(copy)


def resumed(run: Path, output: Path, *, in_a_new_process: bool) -> tuple[int, str]:
    """Exit code and stderr of ``eqrl train --resume``."""
    arguments = ["train", "--resume", str(run), "--no-progress"]
    if in_a_new_process:
        done = subprocess.run([sys.executable, "-m", "eqrl", *arguments], capture_output=True, text=True, check=False)
        return done.returncode, done.stderr
    errors = output.with_suffix(".err")
    errors.unlink(missing_ok=True)
    code = in_child(lambda: command(arguments), output, errors=errors)
    return code, errors.read_text(errors="replace")
