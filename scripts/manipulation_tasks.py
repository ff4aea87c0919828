"""The tasks of the manipulation benchmark, and what trained policies are tested on."""

from __future__ import annotations

from manipulation_jobs import Task

_SECTOR = ("target_sector:(-15,15)", "heading:(-15,15)")
_SHAPES = {"seen": (), "unseen": ("split:test",)}
_FEW = ("heading", "mlp")
_BY_GOAL = ("goal", "mlp")  # where no vector has the role "heading"
TASKS = {
    task.name: task
    for task in (
        Task("Sliding", "eqrl/Sliding-v0", 200_000, ("split:train",), tests=_SHAPES, seeds=3),
        Task("Insertion", "eqrl/Insertion-v0", 300_000, ("split:train",), tests=_SHAPES, seeds=3),
        Task(
            "RopeClosing",
            "eqrl/RopeClosing-v0",
            500_000,
            methods=(*_BY_GOAL, "mlp + augmentation", "transformer", "homogeneous", "vector"),
            seeds=3,
        ),
        Task("Insertion-sector", "eqrl/Insertion-v0", 300_000, _SECTOR, methods=_FEW, rotations=12, episodes=200),
        Task(
            "Insertion-resolution",
            "eqrl/Insertion-v0",
            300_000,
            ("split:train", "resolution:16", "slots:48"),
            tests={"16 points": (), "48 points": ("resolution:48",)},
            methods=(),
        ),
        Task("Insertion-1mm", "eqrl/Insertion-v0", 1_000_000, ("split:train", "clearance:0.001"), methods=_FEW),
        Task(
            "Insertion-unmatched",
            "eqrl/Insertion-v0",
            1_000_000,
            ("split:train", "correspondence:false"),
            tests=_SHAPES,
            methods=_FEW,
        ),
        Task("Push", "eqrl/Push-v0", 1_000_000, ("split:train", "reward_type:dense"), tests=_SHAPES, methods=_FEW),
        Task("InsertionTwoHands", "eqrl/InsertionTwoHands-v0", 1_000_000, methods=_FEW),
        Task("RopeShaping", "eqrl/RopeShaping-v0", 800_000, tests=_SHAPES, methods=("vector", "mlp")),
        Task("ClothHanging", "eqrl/ClothHanging-v0", 400_000, methods=_BY_GOAL),
        Task(
            "PickAndPlace",
            "eqrl/PickAndPlace-v0",
            100_000,
            algo="sac",
            tests={"from the table": ("start:table",)},
            methods=("vector", "mlp"),
        ),
    )
}
