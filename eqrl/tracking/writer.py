"""One more writer behind Stable-Baselines3's logger, which passes all numbers on to a tracker and never fails."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.logger import KVWriter, filter_excluded_keys

from eqrl.errors import import_extra
from eqrl.files.atomic import write_whole
from eqrl.rng import preserved_rng
from eqrl.tracking.tracked_run import Description, TrackedRun

# each tracker is a module of this package with a function ``begin``, and a package with the same name
TRACKERS = ("trackio", "wandb", "mlflow")
_NOTE = "track.json"
_IDENTITY = re.compile(r"[A-Za-z0-9_.-]{1,128}")


def check_tracker(name: str) -> None:
    """Import a tracker, so that it is not found to be missing in the middle of a run.

    Args:
        name: one of ``TRACKERS``.

    Raises:
        UsageError: if it is not installed; the message names the extra.
    """
    with _apart():
        import_extra(name, f"--track {name}", name)


class Tracker(KVWriter):
    """Passes numbers to a tracker.

    A resumed training goes on with the same run of the tracker. A tracker that fails is told in one warning, and the
    training goes on: one that cannot be opened is left alone from then on, one that cannot write is tried again.

    Args:
        tracker: one of ``TRACKERS``.
        folder: the run folder, which remembers the tracker's name for the run.
        name: what a new run is called in the tracker.
        config: the run's options.
    """

    def __init__(self, tracker: str, folder: Path, name: str, config: Mapping[str, Any]) -> None:
        self.tracker = tracker
        self._description = Description(folder, name, config)
        self._run: TrackedRun | None = None
        self._is_useless = self._warned = False

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Pass the numbers on; texts, figures and films stay behind."""
        values = {
            name: float(value)
            for name, value in filter_excluded_keys(key_values, key_excluded, self.tracker).items()
            if isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
        }
        if self._is_useless or not values:
            return
        with self._forgiven():
            if self._run is None:
                self._is_useless = True  # until it is open
                self._run = self._open()
                self._is_useless = False
            self._run.log(values, step)

    def close(self) -> None:
        """End the tracker's run."""
        if self._run is not None:
            with self._forgiven():
                self._run.close()
            self._run = None

    def _open(self) -> TrackedRun:
        folder = self._description.folder
        known = _identities(folder)
        begin = importlib.import_module(f"eqrl.tracking.{self.tracker}").begin
        run: TrackedRun = begin(replace(self._description, identity=known.get(self.tracker)))
        if known.get(self.tracker) != run.identity:
            write_whole(folder / _NOTE, json.dumps({**known, self.tracker: run.identity}) + "\n")
        return run

    @contextlib.contextmanager
    def _forgiven(self) -> Iterator[None]:
        """Turn the first error of any kind into a warning, and hide all others."""
        try:
            with _apart():
                yield
        except Exception as error:  # whatever a tracker does wrong, the training is worth more
            if not self._warned:
                self._warned = True
                reason = str(error).strip() or type(error).__name__
                warnings.warn(
                    f"tracker {self.tracker} fails ({reason.splitlines()[0]}); the training goes on", stacklevel=2
                )


@contextlib.contextmanager
def _apart() -> Iterator[None]:
    """Keep a tracker's chatter, its warnings and its use of random numbers away from the training."""
    with preserved_rng(), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def _identities(folder: Path) -> dict[str, str]:
    """The trackers' names for a run, as far as the run folder knows them."""
    try:
        known = json.loads((folder / _NOTE).read_text(encoding="utf-8"))
        return {name: known[name] for name in TRACKERS if name in known and _IDENTITY.fullmatch(known[name])}
    except (OSError, ValueError, TypeError):
        return {}
