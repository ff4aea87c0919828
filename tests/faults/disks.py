"""Disks that are full, broken or read-only, for a while or for good."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import eqrl
import eqrl.runs.callbacks as callbacks
from eqrl.checkpoint.store import Store
from eqrl.commands import main as command
from eqrl.runs import session
from faults.children import in_child
from faults.disk import tamper
from faults.fingerprint import differences, fingerprint
from faults.jobs import Job, off_policy, ppo
from faults.kills import Reference, runs_in
from faults.watch import Watch

_ERRORS = (errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT)
_PATIENCE = 120.0
FILE_SYSTEMS = {"a full file system": "size=8m", "a read-only file system": "size=64m"}
_WAITING = "the last checkpoint cannot be written"


def disk_jobs() -> list[Job]:
    """With and without a replay buffer."""
    return [
        ppo("ppo", "eqrl/Reach-v0"),
        off_policy("sac + her", "sac", "eqrl/Reach-v0", params="learning_starts:300 buffer_size:2000"),
    ]


def run(work: Path, seed: int, times: int, *, quick: bool = False) -> dict[str, Any]:
    """Let disks fail.

    Args:
        work: an empty folder.
        seed: of everything random.
        times: how many failures of each kind.
        quick: only one training, and no file systems.
    """
    begun = time.monotonic()
    rng, watch = random.Random(seed), Watch()
    failures: list[str] = []
    counts: dict[str, int] = {}
    notes: list[str] = []
    for number, job in enumerate(disk_jobs()[: 1 if quick else None]):
        reference = Reference(job, work / f"reference_{number}", watch)
        kinds: dict[str, Callable[[Path], str | None]] = {
            "one call fails": lambda f, j=job, r=reference: _some_calls_fail(j, r, f, rng, watch, 1),
            "all calls fail for a while": lambda f, j=job, r=reference: _some_calls_fail(j, r, f, rng, watch, 40),
            "files may not grow": lambda f, j=job, r=reference: _files_may_not_grow(j, r, f, rng),
            "full at the end, then room": lambda f, j=job, r=reference: _full_at_the_end(j, r, f, give_up=False),
            "full at the end, given up": lambda f, j=job, r=reference: _full_at_the_end(j, r, f, give_up=True),
        }
        for kind, attempt in kinds.items():
            for i in range(times if "end" not in kind else max(times // 4, 1)):
                folder = work / f"{kind.replace(' ', '_').replace(',', '')}_{number}_{i}"
                counts[kind] = counts.get(kind, 0) + 1
                if (wrong := attempt(folder)) is not None:
                    failures.append(f"{job.name}, {kind}: {wrong}")
                    print(f"FAILED {failures[-1]}", flush=True)
        for name, options in {} if quick else FILE_SYSTEMS.items():
            with _file_system(work / f"mounted_{number}", options) as mounted:
                if mounted is None:
                    notes.append(f"{name} was not tried: nothing may be mounted here")
                    continue
                counts[name] = counts.get(name, 0) + 1
                tried = _a_read_only_file_system if "read-only" in name else _a_full_file_system
                wrong = tried(job, reference, mounted)
                if wrong is not None:
                    failures.append(f"{job.name}, {name}: {wrong}")
                    print(f"FAILED {failures[-1]}", flush=True)
    return {"tried": counts, "failures": failures, "notes": notes, "seconds": round(time.monotonic() - begun, 1)}


def _train(job: Job, folder: Path, prepare: Callable[[], Any], *, quickly: bool = True) -> Callable[[], int]:
    def work() -> int:
        if quickly:
            callbacks.RETRY_SECONDS = 0.1
            session._PATIENCE = 0.3
        prepare()
        return command(job.command(folder))

    return work


def _some_calls_fail(
    job: Job, reference: Reference, folder: Path, rng: random.Random, watch: Watch, many: int
) -> str | None:
    """Several consecutive writes fail; the training goes on, and ends as if nothing had happened."""
    first, code = rng.randint(25, 350), rng.choice(_ERRORS)
    output, errors = folder.with_suffix(".txt"), folder.with_suffix(".err")

    def prepare() -> None:
        calls = 0

        def harm(name: str, go: Callable[[], Any], half: Callable[[], None]) -> Any:
            nonlocal calls
            calls += watch.phase not in ("start", "zero-shot", "end")
            if (
                first <= calls < first + many
                and watch.phase not in ("start", "zero-shot", "end")
                and name not in ("unlink", "rmdir")
            ):
                with contextlib.suppress(OSError):
                    half()
                raise OSError(code, os.strerror(code))
            return go()

        tamper(harm)
        watch.clear()
        watch.install()

    status = in_child(_train(job, folder, prepare), output, kill_after=_PATIENCE, errors=errors)
    what = f"{errno.errorcode[code]} at calls {first} to {first + many - 1}"
    if status:
        return f"{what}: exit code {status}: {errors.read_text()[-400:]} {output.read_text()[-400:]}"
    if "Traceback" in errors.read_text():
        return f"{what}: {errors.read_text()[-400:]}"
    run = runs_in(folder)[0]
    wrong = [name for name in differences(reference.fingerprint, fingerprint(run)) if not _of_a_log(name)]
    return f"{what}: {wrong[:4]}" if wrong else _intact(run, reference)


def _files_may_not_grow(job: Job, reference: Reference, folder: Path, rng: random.Random) -> str | None:
    """The operating system refuses writes beyond a size, as a quota does, and then allows them again."""
    output, errors = folder.with_suffix(".txt"), folder.with_suffix(".err")
    limit, begin, length = rng.randint(100, 20_000), rng.randint(300, 700), rng.uniform(0.2, 1.0)

    def prepare() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        state = {"until": 0.0, "over": False}
        step = callbacks.Every._on_step

        def limited(self: callbacks.Every) -> bool:
            now = time.monotonic()
            if not state["until"] and self.num_timesteps >= begin:
                state["until"] = now + length
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            elif state["until"] and not state["over"] and (now > state["until"]):
                state["over"] = True
                resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            return step(self)

        def patient(self: Any, *args: Any) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            save_at_last(self, *args)

        save_at_last = session.Session._save_at_last
        callbacks.Every._on_step = limited  # type: ignore[method-assign]
        session.Session._save_at_last = patient  # type: ignore[method-assign]

    status = in_child(_train(job, folder, prepare), output, kill_after=_PATIENCE, errors=errors)
    what = f"{limit} bytes a file from step {begin} for {length:.1f} s"
    if status or "Traceback" in errors.read_text():
        return f"{what}: exit code {status}: {errors.read_text()[-500:]}"
    run = runs_in(folder)[0]
    wrong = [name for name in differences(reference.fingerprint, fingerprint(run)) if not _of_a_log(name)]
    return f"{what}: {wrong[:4]}" if wrong else _intact(run, reference)


def _full_at_the_end(job: Job, reference: Reference, folder: Path, *, give_up: bool) -> str | None:
    """The last checkpoint cannot be written; then there is room again, or a signal gives up."""
    output, errors, full = folder.with_suffix(".txt"), folder.with_suffix(".err"), folder.with_suffix(".full")
    folder.mkdir()
    full.touch()
    result = folder.with_suffix(".code")

    def prepare() -> None:
        save_at_last, save = session.Session._save_at_last, Store.save
        last = [False]

        def at_last(self: Any, *args: Any) -> None:
            last[0] = True
            save_at_last(self, *args)

        def refused(store: Store, *args: Any) -> Path:
            if last[0] and full.exists():
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return save(store, *args)

        session.Session._save_at_last = at_last  # type: ignore[method-assign]
        Store.save = refused  # type: ignore[method-assign]

    child = os.fork()
    if child == 0:
        code = in_child(_train(job, folder, prepare), output, kill_after=_PATIENCE, errors=errors)
        result.write_text(str(code))
        os._exit(0)
    deadline = time.monotonic() + _PATIENCE
    while _WAITING not in (output.read_text() if output.exists() else "") and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.5)
    if give_up:
        grandchild = int(
            subprocess.run(
                ["ps", "-o", "pid=", "--ppid", str(child)], capture_output=True, text=True, check=True
            ).stdout.split()[0]
        )
        os.kill(grandchild, signal.SIGINT)
    else:
        full.unlink()
    os.waitpid(child, 0)
    status, said = int(result.read_text()), output.read_text() + errors.read_text()
    run = runs_in(folder)[0]
    if _WAITING not in said or "Traceback" in said:
        return f"it says {said[-300:]}"
    if (wrong := _intact(run, reference)) is not None:
        return wrong
    if not give_up:
        wrong_entries = differences(reference.fingerprint, fingerprint(run))
        return f"exit code {status}, {wrong_entries[:3]}" if status or wrong_entries else None
    if status not in (2, 75, 130):
        return f"exit code {status}"
    full.unlink()
    again = in_child(lambda: command(["train", "--resume", str(run), "--no-progress"]), output)
    wrong_entries = differences(reference.fingerprint, fingerprint(run))
    return f"resumed: exit code {again}, {wrong_entries[:3]}" if again or wrong_entries else None


def _a_full_file_system(job: Job, reference: Reference, mounted: Path) -> str | None:
    """Fill a file system while a training writes to it; then make room."""
    output, errors = mounted.with_suffix(".full.txt"), mounted.with_suffix(".full.err")

    def prepare() -> None:
        step, done = callbacks.Every._on_step, [False, False]

        def filled(self: callbacks.Every) -> bool:
            if self.num_timesteps >= 600 and not done[0]:
                done[0] = True
                with contextlib.suppress(OSError), (mounted / "filler").open("wb", buffering=0) as file:
                    while True:
                        file.write(bytes(4096))
            if self.num_timesteps >= 900 and not done[1]:
                done[1] = True
                (mounted / "filler").unlink()
            return step(self)

        callbacks.Every._on_step = filled  # type: ignore[method-assign]

    status = in_child(_train(job, mounted / "logs", prepare), output, kill_after=_PATIENCE, errors=errors)
    said = output.read_text() + errors.read_text()
    if status or "Traceback" in said:
        return f"exit code {status}: {said[-500:]}"
    if "cannot be written" not in said and "no checkpoint at" not in said:
        return f"nothing is said: {said[-300:]}"
    run = runs_in(mounted / "logs")[0]
    wrong = [name for name in differences(reference.fingerprint, fingerprint(run)) if not _of_a_log(name)]
    return f"{wrong[:4]}" if wrong else _intact(run, reference)


def _a_read_only_file_system(job: Job, reference: Reference, mounted: Path) -> str | None:
    """Existing checkpoints can be loaded; resuming and beginning a run are refused in one line."""
    output, errors = mounted.with_suffix(".ro.txt"), mounted.with_suffix(".ro.err")
    in_child(_train(job, mounted / "logs", lambda: None), output)
    run = runs_in(mounted / "logs")[0]
    subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True)
    if eqrl.load(run)[0].num_timesteps != Store(run).steps()[0]:
        return "another model is loaded"
    for arguments in (
        ["train", "--resume", str(run), "-n", "9000"],
        job.command(mounted / "logs"),
        job.command(mounted / "other"),
    ):
        errors.unlink(missing_ok=True)
        code = in_child(lambda arguments=arguments: command(arguments), output, errors=errors)
        lines = errors.read_text().splitlines()
        if code != 2 or len(lines) != 1 or "cannot be written" not in lines[0]:
            return f"exit code {code}: {errors.read_text()[-300:]}"
    return None


@contextlib.contextmanager
def _file_system(mounted: Path, options: str) -> Iterator[Path | None]:
    """A small file system in memory, where that is allowed."""
    mounted.mkdir(exist_ok=True)
    mount = shutil.which("mount")
    done = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", options, "tmpfs", str(mounted)], capture_output=True, check=False
    )
    if not done or done.returncode:
        yield None
        return
    try:
        yield mounted
    finally:
        subprocess.run(["umount", str(mounted)], check=False)


def _intact(run: Path, reference: Reference) -> str | None:
    """Check that every existing checkpoint is whole and right."""
    store = Store(run)
    for checkpoint in store.folder.glob("step_*"):
        manifest = store.verified(checkpoint, complete=True)
        expected = reference.parts.get(checkpoint.name)
        checksums = {name: manifest.files[name].sha256 for name in ("policy.safetensors", "training.safetensors")}
        if expected is not None and checksums != expected:
            return f"{checkpoint.name} is not that of the uninterrupted run"
    return None


def _of_a_log(name: str) -> bool:
    """Rows that could not be written are missing from the logs, and nowhere else.

    Evaluations are in the checkpoints too.
    """
    return name.startswith(("progress/", "tensorboard/", "evaluation/"))
