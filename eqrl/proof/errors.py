"""What can go wrong before anything is proved."""

from __future__ import annotations


class NonFiniteRolloutError(ValueError):
    """The simulation diverges by itself, so that nothing can be compared; the message is one line.

    Attributes:
        step: first step after which a number is not finite.
        field: what diverged, by name.
    """

    def __init__(self, step: int, field: str) -> None:
        self.step, self.field = step, field
        super().__init__(
            f"the rollout is not finite: {field} diverges at step {step} from a random state; "
            "use a smaller timestep, more damping or armature"
        )
