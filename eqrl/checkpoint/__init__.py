"""Checkpoints of a training: one folder each, written atomically, verified before they are read, and free of code."""

from eqrl.checkpoint.callback import SaveTraining
from eqrl.checkpoint.contents import Description, load_checkpoint
from eqrl.checkpoint.environment import capture, rehearse, restore
from eqrl.checkpoint.manifest import DamagedCheckpointError, Manifest
from eqrl.checkpoint.replay import buffer_bytes
from eqrl.checkpoint.store import CheckpointWarning, Store

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
