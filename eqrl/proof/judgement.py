"""From a comparison to a verdict, by the same rule for models and for environments."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from eqrl.proof.comparison import Comparison, Violation
from eqrl.proof.verdict import Cause, Verdict

UNCLEAR = Cause(
    "ill-conditioned contacts",
    "in almost all states shapes touch along a line or a face, where any point may be the contact; nothing can be compared: "
    "use spheres or capsules, or exclude the pair",
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
    """The verdict on one generator.

    Args:
        compared: what was predicted and what happened.
        name: of the generator.
        kind: of the generator.
        steps: numbers of steps after which errors are reported.
        contacts: largest number of contacts at any time.
        explain: finds the cause of a violation; None looks for none.
        remarks: what else was seen.
    """
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
