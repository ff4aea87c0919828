"""Ray as eqrl starts it: on this machine alone, on loopback and quiet, unless the user names a cluster."""

from __future__ import annotations

import logging
import os
from typing import Any

from eqrl.errors import UsageError, import_extra

# Ray reads them when it is imported or started; a user's own values win
_SETTINGS = {
    # Ray replaces 127.0.0.1 by an address that the network reaches, except where it supports no clusters: with this
    # setting it takes Linux for such a system, and nothing listens beyond loopback
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",  # Ray reports usage to its makers by default
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else a warning about GPUs that nobody asked for
    # records for a dashboard that is not there: without them a message takes about half the work
    "RAY_event_stats": "0",
    "RAY_task_events_report_interval_ms": "0",
    "RAY_enable_timeline": "0",
    "RAY_enable_metrics_collection": "0",
}
_STORE = 256 * 2**20  # bytes of shared memory for large messages; by default a third of the machine's memory


def connect(cpus: int, what: str) -> Any:
    """Ray, with a session.

    The session that this process has opened is used, and so is the cluster that ``RAY_ADDRESS`` names. Without either,
    Ray is started on this machine; its processes end with this one, or with ``ray.shutdown()``.

    Args:
        cpus: that a session on this machine can give away; Ray counts them and does not look whether they exist.
        what: what needs Ray, the subject of the error message.

    Returns:
        The module ``ray``.

    Raises:
        UsageError: if Ray is not installed or cannot be started.
    """
    cluster = "RAY_ADDRESS" in os.environ
    if not cluster:
        for name, value in _SETTINGS.items():
            os.environ.setdefault(name, value)
    ray = import_extra("ray", what, "ray")
    if ray.is_initialized():
        return ray
    try:
        logging.getLogger("ray").setLevel(logging.ERROR)  # it announces even that everything is as it should be
        if cluster:
            ray.init(log_to_driver=False, logging_level=logging.ERROR)
        else:
            ray.init(
                address="local",
                num_cpus=cpus,
                _node_ip_address="127.0.0.1",
                include_dashboard=False,
                object_store_memory=_STORE,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
    except Exception as error:  # Ray raises it without any class of its own, for instance if the machine is too busy
        where = f"to the cluster {os.environ['RAY_ADDRESS']} (RAY_ADDRESS)" if cluster else "on this machine"
        raise UsageError(f"{what}: no session of Ray {where}: {error}") from error
    return ray
