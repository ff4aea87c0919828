"""Trackio: its own local database, unless ``TRACKIO_SPACE_ID`` or ``TRACKIO_SERVER_URL`` says otherwise."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from eqrl.tracking.tracked_run import PROJECT, Description


def begin(description: Description) -> TrackioRun:
    """Open a run; ``trackio show --project eqrl`` shows it."""
    return TrackioRun(description)


class TrackioRun:
    """A run of Trackio, which knows runs by their names."""

    def __init__(self, description: Description) -> None:
        import trackio

        self._trackio = trackio
        self.identity = description.identity or f"{description.name}_{secrets.token_hex(3)}"
        self._run = trackio.init(
            project=PROJECT,
            name=self.identity,
            resume="allow",
            config=dict(description.config),
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Write numbers."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """Write what waits, and end the run."""
        self._trackio.finish()  # of the module, which would end the run of a closed training again at exit
