"""What a proof says about each generator."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from eqrl.proof.comparison import Comparison, Violation


@dataclass(frozen=True)
class Cause:
    """Why a symmetry does not hold.

    Attributes:
        id: stable words, such as ``"pyramidal friction cone"`` or ``"wrong sign of joint left_hip"``.
        fix: what to do about it, one line.
        explains: whether it says what is wrong, or only where.
    """

    id: str
    fix: str = ""
    explains: bool = True

    def __str__(self) -> str:
        """The words."""
        return self.id


@dataclass(frozen=True)
class Objection:
    """What is wrong with a declaration, seen before any long rollout.

    Attributes:
        field: ``"observation gyro"``, ``"action torque"``, or ``"model"`` where the model has no such symmetry.
        size: largest difference, infinite where nothing can be compared.
        cause: why.
    """

    field: str
    size: float
    cause: Cause


@dataclass(frozen=True)
class Verdict:
    """How well the world keeps one generator.

    Attributes:
        name: of the generator.
        kind: ``"world"``, ``"morphology"`` or ``"exchange"``.
        errors: largest difference of any field after some numbers of steps, over all states.
        holds: whether every difference after every step is allowed.
        contacts: largest number of contacts at any time; a proof without contacts says little about friction.
        field: the first field that differs, None if it holds.
        step: after how many steps, 0 for the start.
        cause: why, None if it holds.
        remarks: what else was seen, one line each; remarks do not make a verdict fail.
        claimed: whether anyone says that it holds; what nobody claims is tried to tell what breaks it.
    """

    name: str
    kind: str
    errors: Mapping[int, float]
    holds: bool
    contacts: int
    field: str | None = None
    step: int | None = None
    cause: Cause | None = None
    remarks: tuple[str, ...] = ()
    claimed: bool = True

    @property
    def error_1(self) -> float | None:
        """Error after one step, None if that was not asked for."""
        return self.errors.get(1)

    @property
    def error_10(self) -> float | None:
        """Error after ten steps."""
        return self.errors.get(10)

    @property
    def error_50(self) -> float | None:
        """Error after fifty steps."""
        return self.errors.get(50)

    def __str__(self) -> str:
        """One line."""
        sizes = ", ".join(f"{error:.1e} after {k}" for k, error in self.errors.items())
        if self.holds:
            return f"{self.name} holds: {sizes} steps, up to {self.contacts} contacts"
        why = f"; cause: {self.cause}" if self.cause else ""
        return f"{self.name} does not hold: {self.field} differs first, at step {self.step}: {sizes} steps{why}"


UNCLEAR = Cause(
    "ill-conditioned contacts",
    "in almost all states shapes touch along a line or a face, where any point may be the contact; nothing can be"
    " compared: use spheres or capsules, or exclude the pair",
)
NOT_COMPARED = Violation(1, 0, "position of contacts", np.inf)  # what proves nothing does not hold


def judge(
    compared: Comparison,
    name: str,
    kind: str,
    *,
    steps: Sequence[int],
    contacts: int,
    explain: Callable[[Violation], Cause] | None,
    remarks: tuple[str, ...] = (),
) -> Verdict:
    """The verdict on one generator; ``explain`` finds the cause of a violation, None looks for none."""
    violation, cause = compared.violation, None
    if violation is None and compared.is_empty:
        violation, cause = NOT_COMPARED, UNCLEAR
    elif violation is not None and explain is not None:
        cause = explain(violation)
    return Verdict(
        name=name,
        kind=kind,
        errors={int(k): compared.error(k) for k in steps},
        holds=violation is None,
        contacts=contacts,
        field=violation.field if violation else None,
        step=violation.step if violation else None,
        cause=cause,
        remarks=(*remarks, *(() if violation else compared.remarks)),
    )


@dataclass(frozen=True)
class Verdicts(Sequence[Verdict]):
    """One verdict for each generator."""

    all: tuple[Verdict, ...] = field(default=())

    def __len__(self) -> int:
        """Number of generators."""
        return len(self.all)

    def __getitem__(self, which: int | str) -> Verdict:  # type: ignore[override]
        """A verdict by its place or its generator's name."""
        if isinstance(which, str):
            for verdict in self.all:
                if verdict.name == which:
                    return verdict
            raise KeyError(which)
        return self.all[which]

    def __iter__(self) -> Iterator[Verdict]:
        """All of them."""
        return iter(self.all)

    @property
    def holds(self) -> bool:
        """Whether all that is claimed holds."""
        return all(v.holds for v in self.all if v.claimed)

    def __str__(self) -> str:
        """One line for each."""
        return "\n".join(map(str, self.all)) or "there is no symmetry to prove"
