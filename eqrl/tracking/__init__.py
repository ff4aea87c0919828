"""Trackers of experiments as further writers of a run's log; each is an extra and is imported where it is used."""

from eqrl.tracking.writer import Tracker, check_tracker

__all__ = ["Tracker", "check_tracker"]
