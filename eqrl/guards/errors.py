"""The error that a guard raises."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from eqrl.errors import UsageError

Kind = Literal["observation", "reward", "action", "physics", "parameter", "loss", "gradient", "distribution"]

_ENVIRONMENT = "repair the environment or make its physics milder"
_TRAINING = "lower learning_rate or max_grad_norm and train again"
_ADVICE: dict[Kind, str] = {
    "observation": _ENVIRONMENT,
    "reward": _ENVIRONMENT,
    "action": "lower learning_rate and train again",
    "physics": "make its actions or contacts milder, or give up such episodes alone with on_divergence 'reset'",
    "parameter": _TRAINING,
    "loss": _TRAINING,
    "gradient": _TRAINING,
    "distribution": "lower learning_rate and train again",
}


@dataclass(frozen=True)
class Finding:
    """A number that is not finite, and its origin.

    Attributes:
        kind: kind of the number.
        text: a clause that names it, such as "parameter x is nan".
        name: name of the field, parameter or loss, if known.
        member: index of the environment that the number came from, if any.
    """

    kind: Kind
    text: str
    name: str = ""
    member: int | None = None

    @property
    def advice(self) -> str:
        """What the user can do about it."""
        return _ADVICE[self.kind]


class TrainingDiverged(UsageError):
    """A number in the training is not finite; the message names its origin and a remedy.

    Args:
        finding: the number and its origin.
        steps: environment steps at that moment.
        last_good: name of the last good checkpoint.
        bundle: folder with the evidence, or None.
        trouble: why there is no bundle.
        explained: whether the diagnosis has been made; until then the finding is only where the failure appeared.
    """

    exit_code = 3

    def __init__(
        self,
        finding: Finding,
        steps: int,
        last_good: str = "",
        bundle: Path | None = None,
        trouble: str = "",
        explained: bool = False,
    ) -> None:
        self.finding = finding
        self.steps = steps
        self.bundle = bundle
        self.explained = explained
        notes = [
            *([f"last good model: {last_good}"] if last_good else []),
            *([f"what led there: {bundle}"] if bundle else []),
            *([f"what led there could not be saved: {trouble}"] if trouble else []),
        ]
        super().__init__(
            f"{finding.text}, after {steps} steps; {finding.advice}" + (f" ({', '.join(notes)})" if notes else "")
        )
