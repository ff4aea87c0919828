"""Names of finite groups."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def finite_name(orders: Sequence[int], abelian: bool) -> str:
    """The usual name of a small finite group, as far as the orders of its elements tell it.

    Args:
        orders: order of each element, the identity's included.
        abelian: whether all elements commute.

    Returns:
        ``"C4"``, ``"C2xC2"``, ``"D4"``, or ``"group of order 24"`` where the orders do not tell.
    """
    n = len(orders)
    if max(orders) == n:
        return f"C{n}"
    if max(orders) == 2 and abelian:
        return "x".join(["C2"] * int(np.log2(n)))
    if max(orders) == n // 2 and not abelian:
        return f"D{n // 2}"
    return f"group of order {n}"
