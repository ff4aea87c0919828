"""The run that a tracker keeps: what all trackers have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

PROJECT = "eqrl"
STEPS = "time/total_timesteps"


@dataclass(frozen=True)
class Description:
    """What a tracker is told when a run begins or goes on.

    Attributes:
        folder: the run folder; trackers that write files may do so below it.
        name: what the run is called in the tracker.
        config: the run's options.
        identity: the tracker's name for the run if it goes on, or None for a new one.
    """

    folder: Path
    name: str
    config: Mapping[str, Any]
    identity: str | None = None


class TrackedRun(Protocol):
    """An open run of a tracker.

    Attributes:
        identity: the tracker's name for the run, with which a resumed training opens it again.
    """

    identity: str

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Write numbers.

        Args:
            values: numbers by name.
            step: environment steps so far.
        """

    def close(self) -> None:
        """Write what waits, and end the run."""
