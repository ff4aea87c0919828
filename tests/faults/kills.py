"""Kill trainings repeatedly, at random moments and in the middle of writes."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eqrl.checkpoint.manifest import DamagedCheckpointError
from eqrl.checkpoint.store import Store
from eqrl.commands import main as command
from eqrl.errors import UsageError
from faults.children import KILLED, in_child
from faults.disk import tamper
from faults.fingerprint import differences, fingerprint
from faults.jobs import Job, kill_jobs
from faults.watch import IN_A_SAVE, Watch

_PARTS = ("policy.safetensors", "training.safetensors")
_SOMETIMES = 0.3  # chance of going on by the same command instead of --resume


@dataclass(frozen=True)
class Death:
    """When a process is killed.

    After some time, or at one of its calls that change the disk, or some time into a phase.

    Attributes:
        seconds: time after the start, or after the phase began.
        call: which call; 0 for none.
        moment: "before" the call, "half" way through it, or "after" it.
        phase: what it must be doing; anything if it is empty.
    """

    seconds: float = 0.0
    call: int = 0
    moment: str = "half"
    phase: str = ""

    def prepare(self, watch: Watch) -> None:
        """Make this process die in this way."""
        left = self.call

        def harm(name: str, go: Callable[[], Any], half: Callable[[], None]) -> Any:
            nonlocal left
            if self.phase not in ("", watch.phase) or not self.call:
                return go()
            left -= 1
            if left == 0:
                {"before": lambda: None, "half": half, "after": go}[self.moment]()
                _die()
            return go()

        def entered(phase: str) -> None:
            if not self.call and self.phase == phase:
                threading.Timer(self.seconds, _die).start()

        tamper(harm)
        watch.install(entered)


@dataclass
class Tally:
    """Counts of what happened, and the failures."""

    runs: int = 0
    kills: int = 0
    where: Counter[str] = field(default_factory=Counter)
    ways: Counter[str] = field(default_factory=Counter)
    resumed: int = 0
    by_the_same_command: int = 0
    begun_anew: int = 0
    checkpoints_checked: int = 0
    models_loaded: int = 0
    largest_loss: int = 0
    largest_loss_in_intervals: float = 0.0
    entries_compared: int = 0
    failures: dict[str, list[str]] = field(
        default_factory=lambda: {
            name: [] for name in ("cannot continue", "loads wrong", "lost too much", "differing", "litter")
        }
    )

    def fail(self, kind: str, what: str) -> None:
        """Record a failure and print it at once."""
        self.failures[kind].append(what)
        print(f"FAILED {kind}: {what}", flush=True)


def run(work: Path, seed: int, kills: int, jobs: list[Job] | None = None) -> dict[str, Any]:
    """Kill trainings until enough are dead.

    Args:
        work: an empty folder.
        seed: of everything random.
        kills: how many.
        jobs: what to train, by default ``kill_jobs``.
    """
    begun = time.monotonic()
    rng, watch, total = random.Random(seed), Watch(), Tally()
    jobs = kill_jobs() if jobs is None else jobs
    references = {job.name: Reference(job, work / f"reference_{i}", watch) for i, job in enumerate(jobs)}
    per_job: dict[str, dict[str, int]] = {}
    while total.kills < kills:
        job = jobs[total.runs % len(jobs)]
        before = total.kills
        Victim(job, references[job.name], work / f"run_{total.runs}", rng, watch, total).torture(rng.randint(6, 10))
        row = per_job.setdefault(job.name, {"runs": 0, "kills": 0})
        row["runs"], row["kills"] = row["runs"] + 1, row["kills"] + total.kills - before
        total.runs += 1
    return {
        "kills": total.kills,
        "kills_inside_a_save": sum(total.where[phase] for phase in IN_A_SAVE),
        "runs": total.runs,
        "jobs": per_job,
        "where": dict(total.where),
        "ways": dict(total.ways),
        "resumed": total.resumed,
        "resumed_by_the_same_command": total.by_the_same_command,
        "begun_anew_before_the_first_checkpoint": total.begun_anew,
        "checkpoints_compared_with_the_uninterrupted_run": total.checkpoints_checked,
        "models_loaded": total.models_loaded,
        "largest_loss_in_steps": total.largest_loss,
        "largest_loss_in_intervals": round(total.largest_loss_in_intervals, 3),
        "entries_compared": total.entries_compared,
        "failures": total.failures,
        "seconds": round(time.monotonic() - begun, 1),
    }


class Reference:
    """The run that nobody interrupts: what every checkpoint must hold, and how it must end."""

    def __init__(self, job: Job, folder: Path, watch: Watch) -> None:
        hashes = folder.with_suffix(".json")

        def train() -> int:
            save_best, best = Store.save_best, {}

            def noted(store: Store, *args: Any) -> Path:
                checkpoint = save_best(store, *args)
                best[checkpoint.name] = _parts(store, checkpoint)
                return checkpoint

            Store.save_best = noted  # type: ignore[method-assign]
            code = command([*job.command(folder), "--keep-checkpoints", "0"])
            hashes.write_text(json.dumps(best))
            return code

        begun = time.monotonic()
        code = in_child(train, folder.with_suffix(".txt"))
        self.seconds = time.monotonic() - begun
        if code:
            raise RuntimeError(f"{job.name} does not even train: {folder.with_suffix('.txt').read_text()[-500:]}")
        run = runs_in(folder)[0]
        store = Store(run)
        self.parts = json.loads(hashes.read_text()) | {p.name: _parts(store, p) for p in store.folder.glob("step_*")}
        self.fingerprint = fingerprint(run)
        self.result = _result(run)


class Victim:
    """One run from its beginning to its end, with some deaths in between."""

    def __init__(
        self, job: Job, reference: Reference, folder: Path, rng: random.Random, watch: Watch, tally: Tally
    ) -> None:
        self.job, self.reference, self.folder, self.rng, self.watch, self.tally = (
            job,
            reference,
            folder,
            rng,
            watch,
            tally,
        )
        self.output = folder.with_suffix(".txt")

    def torture(self, deaths: int) -> None:
        """Train to the end, with a number of kills on the way if there is time for them."""
        plans = [self._plan() for _ in range(deaths)]
        if "--rotations 2" in self.job.options:
            plans.append(Death(seconds=self.rng.uniform(0.0, 1.0), phase="zero-shot"))
        for plan in plans:
            code = self._stretch(plan)
            if code == 0:
                break
            if code != KILLED:
                self.tally.fail(
                    "cannot continue", f"{self.folder.name} ({self.job.name}) ended with {code}: {self._tail()}"
                )
                return
            self.tally.kills += 1
            self.tally.where[self.watch.phase] += 1
            self.tally.ways["at a call" if plan.call else "in a phase" if plan.phase else "after some time"] += 1
            self._look()
        else:
            code = self._stretch(None)
        if code:
            self.tally.fail(
                "cannot continue", f"{self.folder.name} ({self.job.name}) ended with {code}: {self._tail()}"
            )
            return
        self._compare()

    def _plan(self) -> Death:
        rng = self.rng
        moment = rng.choice(("before", "half", "half", "after"))
        kind = rng.random()
        if kind < 0.35:
            return Death(seconds=rng.uniform(0.1, 0.6) * self.reference.seconds)
        if kind < 0.7:
            return Death(call=rng.randint(1, 70), moment=moment)
        phase = rng.choice(("save", "save", "latest", "prune", "best", "resume"))
        if phase == "resume":
            return Death(seconds=rng.uniform(0.0, 0.01), phase=phase)
        calls = {"save": 60, "latest": 8, "prune": 20, "best": 10}[phase]
        return Death(call=rng.randint(1, calls), moment=moment, phase=phase)

    def _stretch(self, plan: Death | None) -> int:
        """Train until the end or a death; check that it really went on."""
        newest = self._newest()
        same = newest is None or self.rng.random() < _SOMETIMES
        arguments = self.job.command(self.folder) if same else ["train", "--resume", str(self._run()), "--no-progress"]

        def train() -> int:
            if plan is not None:
                plan.prepare(self.watch)
            else:
                self.watch.install()
            return command(arguments)

        self.watch.clear()
        timed = plan is not None and not plan.call and not plan.phase
        code = in_child(train, self.output, plan.seconds if timed and plan is not None else None)
        if self.watch.steps > 0 or self.watch.resumed_at >= 0:
            if newest is not None and self.watch.resumed_at != newest:
                self.tally.fail(
                    "cannot continue",
                    f"{self.folder.name} ({self.job.name}) went on from {self.watch.resumed_at} instead of {newest}:"
                    f" {self._tail()}",
                )
            elif newest is not None:
                self.tally.resumed += 1
                self.tally.by_the_same_command += same
        return code

    def _look(self) -> None:
        """After a death: everything that is there is right, and little is lost."""
        reached, newest = self.watch.steps, self._newest()
        if newest is None:
            if reached:
                self.tally.fail("lost too much", f"{self.folder.name}: {reached} steps and no checkpoint")
            self.tally.begun_anew += 1
            return
        lost = max(reached - newest, 0)
        if lost > self.tally.largest_loss:
            self.tally.largest_loss = lost
        intervals = lost / self.job.longest_loss
        self.tally.largest_loss_in_intervals = max(self.tally.largest_loss_in_intervals, intervals)
        if intervals > 1.0:
            self.tally.fail("lost too much", f"{self.folder.name}: {lost} steps of {reached} ({self.watch.phase})")
        store = Store(self._run())
        for checkpoint in [*store.folder.glob("step_*"), *store.folder.glob("best_*")]:
            self.tally.checkpoints_checked += 1
            try:
                store.verified(checkpoint, complete=checkpoint.name.startswith("step_"))
            except DamagedCheckpointError as error:
                self.tally.fail("loads wrong", f"{self.folder.name}: {error}")
                continue
            if _parts(store, checkpoint) != self.reference.parts.get(checkpoint.name):
                self.tally.fail(
                    "loads wrong", f"{self.folder.name}: {checkpoint.name} is not that of the uninterrupted run"
                )
        if self.rng.random() < 0.2:
            self._load(store)

    def _load(self, store: Store) -> None:
        import eqrl

        run = self._run()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model, _ = eqrl.load(run)
        self.tally.models_loaded += 1
        checkpoint = store.at(store.steps()[0])
        from safetensors.torch import load_file

        parameters = load_file(checkpoint / "policy.safetensors")
        wrong = [
            name for name, value in model.policy.state_dict().items() if not bool((parameters[name] == value).all())
        ]
        if wrong or model.num_timesteps != store.steps()[0]:
            self.tally.fail("loads wrong", f"{run}: {wrong[:3]}")

    def _compare(self) -> None:
        run = self._run()
        entries = fingerprint(run)
        self.tally.entries_compared += len(entries)
        wrong = differences(self.reference.fingerprint, entries)
        if wrong:
            self.tally.fail("differing", f"{self.folder.name} ({self.job.name}): {len(wrong)} entries, {wrong[:5]}")
        if _result(run) != self.reference.result:
            self.tally.fail("differing", f"{self.folder.name} ({self.job.name}): result.json")
        litter = [str(p.relative_to(run)) for p in run.rglob(".*")]
        if litter:
            self.tally.fail("litter", f"{self.folder.name}: {litter[:5]}")

    def _run(self) -> Path:
        """The run that goes on: the last one, because one that was killed before its first checkpoint stays behind."""
        return runs_in(self.folder)[-1]

    def _newest(self) -> int | None:
        if not runs_in(self.folder):
            return None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                return Store(self._run()).newest(complete=True)[1].step
        except (UsageError, UserWarning):
            return None

    def _tail(self) -> str:
        return self.output.read_text(errors="replace")[-300:]


def runs_in(folder: Path) -> list[Path]:
    """Run folders in a log folder, the newest last."""
    return sorted(folder.glob("*/*_*"), key=lambda path: int(path.name.rpartition("_")[2]))


def _parts(store: Store, checkpoint: Path) -> dict[str, str]:
    manifest = store.verified(checkpoint, complete=False)
    return {name: manifest.files[name].sha256 for name in _PARTS if name in manifest.files}


def _result(run: Path) -> dict[str, float]:
    return {k: v for k, v in json.loads((run / "result.json").read_text()).items() if k != "seconds"}


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
