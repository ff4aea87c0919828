"""The tasks of the manipulation benchmark, and what trained policies are tested on."""

from __future__ import annotations

from manipulation_jobs import Task

_SECTOR = ("target_sector:(-15,15)", "heading:(-15,15)")
_SHAPES = {"seen": (), "unseen": ("split:test",)}
_FEW = ("heading", "mlp")
TASKS = {
    task.name: task
    for task in (
        Task("Sliding", "eqrl/Sliding-v0", 300_000, ("split:train",), tests=_SHAPES, seeds=3),
        Task("Insertion", "eqrl/Insertion-v0", 300_000, ("split:train",), tests=_SHAPES, seeds=3),
        Task("RopeClosing", "eqrl/RopeClosing-v0", 300_000, seeds=3),
        Task("Insertion-sector", "eqrl/Insertion-v0", 300_000, _SECTOR, methods=_FEW, episodes=200),
        Task("Insertion-1mm", "eqrl/Insertion-v0", 1_000_000, ("split:train", "clearance:0.001"), methods=_FEW),
        Task(
            "Insertion-unmatched",
            "eqrl/Insertion-v0",
            1_000_000,
            ("split:train", "correspondence:false"),
            tests=_SHAPES,
            methods=_FEW,
        ),
    )
}
