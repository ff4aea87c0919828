"""Kill and resume every job that has a state, and compare it with an uninterrupted run."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

from faults.jobs import Job, resume_jobs
from faults.kills import Reference, Tally, Victim
from faults.watch import Watch

_ATTEMPTS = 4


def run(work: Path, seed: int, kills: int = 3, jobs: list[Job] | None = None) -> dict[str, Any]:
    """Compare every job with itself.

    Args:
        work: an empty folder.
        seed: of everything random.
        kills: how often each is killed, at most; it is repeated until it was resumed at least once.
        jobs: what to train, by default ``resume_jobs``.
    """
    begun = time.monotonic()
    rng, watch = random.Random(seed), Watch()
    rows: dict[str, Any] = {}
    failures: list[str] = []
    for i, job in enumerate(resume_jobs() if jobs is None else jobs):
        tally = Tally()
        reference = Reference(job, work / f"reference_{i}", watch)
        for attempt in range(_ATTEMPTS):
            Victim(job, reference, work / f"run_{i}_{attempt}", rng, watch, tally).torture(kills)
            if tally.resumed:
                break
        else:
            failures.append(f"{job.name} was never resumed")
        texts = [text for texts in tally.failures.values() for text in texts]
        failures += texts
        rows[job.name] = {
            "kills": tally.kills,
            "resumed": tally.resumed,
            "entries_compared": tally.entries_compared,
            "failures": len(texts),
        }
        print(f"{job.name}: {rows[job.name]}", flush=True)
    return {
        "jobs": rows,
        "kills": sum(row["kills"] for row in rows.values()),
        "resumed": sum(row["resumed"] for row in rows.values()),
        "entries_compared": sum(row["entries_compared"] for row in rows.values()),
        "failures": failures,
        "seconds": round(time.monotonic() - begun, 1),
    }
