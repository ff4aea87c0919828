"""Backbones by name."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from eqrl.nn.backbone import Backbone
from eqrl.nn.gated import Gated
from eqrl.nn.mlp import MLP
from eqrl.nn.pathways import EXACT
from eqrl.nn.residual import Residual
from eqrl.symmetry import Group, Representation

BACKBONES: Mapping[str, type[Backbone]] = {MLP.label: MLP, **EXACT, Residual.label: Residual, Gated.label: Gated}


def build(
    name: str, in_rep: Representation, out_rep: Representation, group: Group | None = None, **options: Any
) -> Backbone:
    """Build a backbone by name.

    Args:
        name: a key of ``BACKBONES``.
        in_rep: representation of the input.
        out_rep: representation of the output.
        group: group to commute with; None means the largest one that the backbone honours cheaply.
        options: further options of that backbone, such as ``hidden`` and ``activation``.

    Raises:
        ValueError: for an unknown name, with the closest known one, and for arguments that the backbone refuses.
    """
    if name not in BACKBONES:
        close = get_close_matches(name, BACKBONES, n=1, cutoff=0.0)
        raise ValueError(f"unknown backbone {name!r}; did you mean {close[0]!r}? The names are {sorted(BACKBONES)}")
    return BACKBONES[name](in_rep, out_rep, group, **options)
