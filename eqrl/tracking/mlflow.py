"""MLflow: a file store in the run folder, unless ``MLFLOW_TRACKING_URI`` says otherwise."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping

from eqrl.tracking.tracked_run import PROJECT, Description

_NOT_IN_NAMES = re.compile(r"[^\w\-. :/]")
_LONGEST = 6000  # characters of a parameter's value


def begin(description: Description) -> MlflowRun:
    """Open a run; ``mlflow ui --backend-store-uri RUN/mlflow`` shows it."""
    return MlflowRun(description)


class MlflowRun:
    """A run of MLflow, through a client of its own: the global one belongs to the user."""

    def __init__(self, description: Description) -> None:
        # MLflow refuses to write files without the first; the second would use the network
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param
        from mlflow.exceptions import MlflowException

        self._metric = Metric
        here = (description.folder / "mlflow").resolve().as_uri()
        self._client = MlflowClient(os.environ.get("MLFLOW_TRACKING_URI") or here)
        if description.identity:
            try:
                self._client.update_run(description.identity, status="RUNNING")
                self.identity = description.identity
                return
            except MlflowException:  # its files are gone, or it is another server
                pass
        experiment = self._client.get_experiment_by_name(PROJECT)
        where = experiment.experiment_id if experiment else self._client.create_experiment(PROJECT)
        self.identity = self._client.create_run(where, run_name=description.name).info.run_id
        parameters = [Param(name, str(value)[:_LONGEST]) for name, value in description.config.items()]
        self._client.log_batch(self.identity, params=parameters)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Write numbers."""
        now = int(time.time() * 1000)
        metrics = [self._metric(_NOT_IN_NAMES.sub("_", name), value, now, step) for name, value in values.items()]
        self._client.log_batch(self.identity, metrics=metrics)

    def close(self) -> None:
        """Mark the run as finished."""
        self._client.set_terminated(self.identity)
