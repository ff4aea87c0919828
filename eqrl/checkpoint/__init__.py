"""Checkpoints of a training: a folder each, complete or not there at all, verified before they are read, without code."""

from eqrl.checkpoint.callback import SaveTraining
from eqrl.checkpoint.environment import capture, rehearse, restore
from eqrl.checkpoint.manifest import DamagedCheckpointError, Manifest
from eqrl.checkpoint.replay import buffer_bytes
from eqrl.checkpoint.store import CheckpointWarning, Description, Store, load_checkpoint

__all__ = [
    "CheckpointWarning",
    "DamagedCheckpointError",
    "Description",
    "Manifest",
    "SaveTraining",
    "Store",
    "buffer_bytes",
    "capture",
    "load_checkpoint",
    "rehearse",
    "restore",
]
