"""Threads that step the batches of a fleet.

Most of them side by side, one thread each, some one by one on all threads.
"""

from __future__ import annotations

import heapq
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor


def cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def wide(work: Sequence[float], parts: Sequence[int], threads: int) -> set[int]:
    """Which jobs had better run one by one, each on all threads, before the others run side by side on a thread each.

    Three equal jobs on two threads take two turns side by side, and one and a half if one of them is split; so does a
    job that is longer than all others together.

    Args:
        work: how long each job takes on one thread, in any unit.
        parts: into how many equal parts each can be split.
        threads: number of threads.
    """
    longest_first = sorted(range(len(work)), key=work.__getitem__, reverse=True)
    chosen, least = 0, math.inf
    for count in range(len(work) + 1):
        split = sum(work[i] * math.ceil(parts[i] / threads) / parts[i] for i in longest_first[:count])
        ends = [0.0] * threads
        for i in longest_first[count:]:
            heapq.heapreplace(ends, ends[0] + work[i])
        if split + max(ends) < 0.95 * least:  # splitting has a price of its own
            chosen, least = count, split + max(ends)
    return set(longest_first[:chosen])


class Crew:
    """Runs the same jobs again and again on a fixed number of threads, the caller's included.

    The job that took longest the last time begins first, so that no thread is left alone with it at the end. Jobs must
    not depend on each other; then neither does any result on who ran what.

    Args:
        jobs: what is to be done, each of which leaves Python's interpreter lock to the others most of the time.
        threads: how many to use at most.
    """

    def __init__(self, jobs: Sequence[Callable[[], None]], threads: int) -> None:
        self._jobs = list(jobs)
        self._seconds = [0.0] * len(jobs)
        self._helpers = max(min(threads, len(jobs)) - 1, 0)
        self._pool = ThreadPoolExecutor(self._helpers, thread_name_prefix="fleet") if self._helpers else None

    def run(self) -> None:
        """Do every job once.

        Raises:
            Exception: what a job raised, once all threads have stopped.
        """
        # an iterator of a list gives each entry to one thread only
        todo = iter(sorted(range(len(self._jobs)), key=self._seconds.__getitem__, reverse=True))
        helpers = [self._pool.submit(self._work, todo) for _ in range(self._helpers)] if self._pool is not None else []
        try:
            self._work(todo)
        finally:
            errors = [helper.exception() for helper in helpers]
        for error in errors:
            if error is not None:
                raise error

    def close(self) -> None:
        """End the threads; no job can be run any more."""
        if self._pool is not None:
            self._pool.shutdown()

    def _work(self, todo: Iterator[int]) -> None:
        for job in todo:
            start = time.perf_counter()
            self._jobs[job]()
            self._seconds[job] = time.perf_counter() - start
