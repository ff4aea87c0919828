"""At which elements a candidate is looked at: one, or several angles where it stands for all rotations."""

from __future__ import annotations

from itertools import accumulate, repeat

import torch

from eqrl.symmetry import Element

_SAME = 1e-9
_POWERS = (1, 2, 5)  # of a rotation by 37 degrees, so that the last one is nearly a half turn
_LARGEST_ORDER = 24  # an element of higher order stands for a continuous group


def elements_of(g: Element) -> list[Element]:
    """The element or, where it stands for a continuous group, some of its powers.

    A network that is far from a symmetry may hardly differ after a small rotation.
    """
    powers = list(accumulate(repeat(g, _LARGEST_ORDER), Element.compose))
    one = torch.eye(3, dtype=g.R.dtype)
    is_finite = any(torch.allclose(power.R, one, atol=_SAME) for power in powers)
    return [g] if is_finite else [powers[k - 1] for k in _POWERS]
