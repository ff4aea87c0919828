"""Signals to real processes, and many processes at once."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from eqrl.checkpoint.store import Store
from faults.fingerprint import differences, fingerprint
from faults.jobs import Job, off_policy, ppo
from faults.kills import Reference, runs_in
from faults.watch import Watch

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
_RESUME_ME = 75
_PATIENCE = 120.0
_AT_ONCE = 1.0  # seconds within which the second signal ends a process


def signal_jobs() -> list[Job]:
    """Of both kinds, long enough to be hit."""
    return [
        ppo("ppo", "eqrl/Reach-v0"),
        off_policy("sac + her", "sac", "eqrl/Reach-v0", params="learning_starts:300 buffer_size:2000"),
    ]


def run(work: Path, seed: int, times: int, at_once: int, everything: bool = True) -> dict[str, Any]:
    """Send signals and start trainings.

    Args:
        work: an empty folder.
        seed: of everything random.
        times: how often each signal is sent to each job, one and two at a time.
        at_once: how many trainings are started at the same moment.
        everything: with all signals and jobs; else with the first of each.
    """
    begun = time.monotonic()
    rng, watch = random.Random(seed), Watch()
    failures: list[str] = []
    counts = {"stopped and resumed": 0, "two signals": 0, "too early or too late to be stopped": 0}
    slowest = 0.0
    for number, job in enumerate(signal_jobs()[: None if everything else 1]):
        reference = Reference(job, work / f"reference_{number}", watch)
        for i in range(times * len(SIGNALS) if everything else times):
            sent = SIGNALS[i % len(SIGNALS)]
            kind, wrong = _one(job, reference, work / f"one_{number}_{i}", sent, rng)
            counts[kind] += 1
            failures += [f"{job.name}, {sent.name}: {wrong}"] if wrong else []
            if number == 0:
                seconds, wrong = _two(work / f"two_{i}", sent)
                counts["two signals"] += 1
                slowest = max(slowest, seconds)
                failures += [f"{job.name}, two times {sent.name}: {wrong}"] if wrong else []
    failures += _same_folder(signal_jobs()[0], work / "same")
    failures += _folders(signal_jobs()[0], work / "many", at_once)
    for failure in failures:
        print(f"FAILED {failure}", flush=True)
    return {
        "tried": {**counts, "second training in one folder": 1, "trainings started at once": at_once},
        "slowest_second_signal_in_seconds": round(slowest, 3),
        "failures": failures,
        "seconds": round(time.monotonic() - begun, 1),
    }


class _Process:
    """``python -m eqrl.train`` with its output in a file."""

    def __init__(self, arguments: list[str], output: Path) -> None:
        self.output = output
        with output.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "eqrl.train", *arguments], stdout=file, stderr=subprocess.STDOUT
            )

    def wait(self) -> int:
        try:
            return self.process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def until_it_trains(self, folder: Path, checkpoints: int = 1) -> bool:
        """Wait for a checkpoint; False if it has ended."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            runs = runs_in(folder)
            if runs and len(Store(runs[0]).steps()) >= checkpoints:
                return True
            time.sleep(0.002)
        return False


def _one(
    job: Job, reference: Reference, folder: Path, sent: signal.Signals, rng: random.Random
) -> tuple[str, str | None]:
    """Stop it, see how it ends and what is saved, and go on."""
    process = _Process(job.command(folder)[1:], folder.with_suffix(".txt"))
    if process.until_it_trains(folder):
        time.sleep(rng.uniform(0.0, 0.6) * reference.seconds)
        process.process.send_signal(sent)
    code = process.wait()
    run = runs_in(folder)[0]
    if code == 0:  # it was done
        wrong = differences(reference.fingerprint, fingerprint(run))
        return "too early or too late to be stopped", f"{wrong[:3]}" if wrong else None
    kind = "stopped and resumed"
    if code != _RESUME_ME or "Traceback" in process.said():
        return kind, f"exit code {code}: {process.said()[-300:]}"
    step = Store(run).newest(complete=True)[1].step
    per_rollout = job.longest_loss - job.number("--save-freq")
    if step % per_rollout:
        return kind, f"its checkpoint is at step {step}, within a rollout"
    again = _Process(["--resume", str(run), "--no-progress"], folder.with_suffix(".txt"))
    if (code := again.wait()) or f"goes on after {step:,} steps" not in again.said():
        return kind, f"resumed: exit code {code}: {again.said()[-300:]}"
    wrong = differences(reference.fingerprint, fingerprint(run))
    return kind, f"{len(wrong)} entries differ: {wrong[:3]}" if wrong else None


def _two(folder: Path, sent: signal.Signals) -> tuple[float, str | None]:
    """A second signal ends it at once, in a rollout that takes seconds, and what is left can go on."""
    slow = Job(
        "slow",
        "--algo ppo --env eqrl/Reach-v0 -n 16000 --n-envs 8 --rotations 0 --eval-freq 0 -params n_steps:1000"
        " n_epochs:1",
    )
    process = _Process(slow.command(folder)[1:], folder.with_suffix(".txt"))
    if not process.until_it_trains(folder):
        return 0.0, f"it ended by itself: {process.said()[-300:]}"
    for _ in range(2):
        time.sleep(0.2)
        process.process.send_signal(sent)
    begun = time.monotonic()
    code = process.wait()
    seconds = time.monotonic() - begun
    if seconds > _AT_ONCE or code in (0, _RESUME_ME) or "Traceback" in process.said():
        return seconds, f"took {seconds:.1f} s, exit code {code}: {process.said()[-300:]}"
    run = runs_in(folder)[0]
    again = _Process(["--resume", str(run), "--no-progress"], folder.with_suffix(".txt"))
    code = again.wait()
    return seconds, f"resumed: exit code {code}: {again.said()[-300:]}" if code else None


def _same_folder(job: Job, folder: Path) -> list[str]:
    """A second training of one run is refused, and disturbs nothing."""
    first = _Process([*job.command(folder)[1:], "-n", "40000"], folder.with_suffix(".txt"))
    if not first.until_it_trains(folder):
        return [f"it ended by itself: {first.said()[-300:]}"]
    run = runs_in(folder)[0]
    done = subprocess.run(
        [sys.executable, "-m", "eqrl.train", "--resume", str(run)],
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
    lines = done.stderr.strip().splitlines()
    wrong = []
    if done.returncode != 2 or len(lines) != 1 or str(first.process.pid) not in lines[0]:
        wrong.append(f"a second training: exit code {done.returncode}, {done.stderr[-300:]}")
    if first.process.poll() is not None:
        wrong.append("the second training ended the first one")
    first.process.send_signal(signal.SIGTERM)
    if (code := first.wait()) != _RESUME_ME:
        wrong.append(f"the first training of two: exit code {code}")
    return wrong


def _folders(job: Job, folder: Path, count: int) -> list[str]:
    """Trainings that begin at the same moment get a folder each."""
    command = [*job.command(folder)[1:], "--new", "-n", "300"]
    folder.mkdir()
    with ThreadPoolExecutor(count) as pool:
        codes = list(pool.map(lambda i: _Process(command, folder / f"{i}.txt").wait(), range(count)))
    finished = [run for run in runs_in(folder) if (run / "result.json").exists()]
    return (
        []
        if codes == [0] * count and len(finished) == count
        else [f"{count} at once: codes {codes}, {len(finished)} folders"]
    )
