"""One picture of a run: what is exact, what is fitted, what is free."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from eqrl.diagnostics.diagnosis import QUANTITIES, Diagnosis
from eqrl.files.atomic import whole_file

_COLOURS = {"actor": "#0b7a75", "value": "#5b5ea6", "world": "#d1495b"}
_FAINT = "#8d8d92"
_LEAST = 1e-9  # errors below are drawn here
_BANDS = ((_LEAST / 2, 1e-4, "#e3f1ee", "exact"), (1e-4, 1e-1, "#fdf3dd", "fitted"), (1e-1, 3.0, "#fbe6e9", "free"))


def draw(diagnosis: Diagnosis, path: str | Path, title: str = "") -> None:
    """Draw errors, coherence and saliency of each candidate, and parity, units and Noether's test beside them.

    Args:
        diagnosis: what was measured.
        path: ``.png``, ``.svg`` or ``.pdf``.
        title: above the picture.
    """
    rows = max(len(diagnosis.candidates), 1)
    figure = Figure(figsize=(14.0, 2.6 + 0.55 * rows), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 3, width_ratios=[2.2, 1.6, 1.2])
    _draw_errors(axes[0], diagnosis)
    _draw_cosines(axes[1], diagnosis)
    _draw_rest(axes[2], diagnosis)
    if title:
        figure.suptitle(title)
    with whole_file(Path(path)) as aside:
        figure.savefig(aside, format=Path(path).suffix[1:], dpi=150)


def _draw_errors(axis: Any, diagnosis: Diagnosis) -> None:
    """Error of actor and value, and residual of the world, on bands that say what they mean."""
    for low, high, colour, name in _BANDS:
        axis.axvspan(low, high, color=colour, zorder=0)
        axis.text(np.sqrt(low * high), -0.75, name, ha="center", va="center", fontsize=9, color=_FAINT)
    places = np.arange(len(diagnosis.candidates))
    for what, shift in (("actor", -0.2), ("value", 0.0)):
        sizes = [max(c.errors[what], _LEAST) for c in diagnosis.candidates]
        axis.plot(sizes, places + shift, "o", color=_COLOURS[what], label=f"error of the {what}")
    known = [(i, c.world) for i, c in enumerate(diagnosis.candidates) if c.world is not None]
    if known:
        sizes = [float(np.clip(size, _LEAST, 2.0)) for _, size in known]
        axis.plot(sizes, [i + 0.2 for i, _ in known], "D", color=_COLOURS["world"], label="residual of the world")
    axis.set_xscale("log")
    axis.set_xlim(_LEAST / 2, 3.0)
    axis.set_ylim(len(places) - 0.4, -1.1)
    axis.set_yticks(places, [f"{c.name}\n({c.kind})" for c in diagnosis.candidates], fontsize=8)
    axis.set_xlabel("relative error")
    _put_legend_below(axis, columns=1)


def _draw_cosines(axis: Any, diagnosis: Diagnosis) -> None:
    """Coherence of gradients and equivariance of saliency: 1 where the network cannot do otherwise."""
    places = np.arange(len(diagnosis.candidates))
    for what, shift in (("actor", -0.15), ("value", 0.15)):
        of_orbits = [c.coherence[what].orbit for c in diagnosis.candidates]
        axis.plot(of_orbits, places + shift, "o", color=_COLOURS[what], label=f"gradients of the {what}")
        axis.plot(
            [c.saliency[what] for c in diagnosis.candidates], places + shift, "x", color=_COLOURS[what],
            label=f"saliency of the {what}",
        )  # fmt: skip
    if diagnosis.candidates:
        for what, style in zip(QUANTITIES, ("--", ":"), strict=True):
            baseline = diagnosis.candidates[0].coherence[what].random
            axis.axvline(baseline, color=_COLOURS[what], linestyle=style, linewidth=1, label=f"random pairs, {what}")
    axis.axvline(1.0, color=_FAINT, linewidth=0.8)
    axis.set_xlim(-1.05, 1.1)
    axis.set_ylim(len(places) - 0.4, -1.1)
    axis.set_yticks(places, [""] * len(places))
    axis.set_xlabel("cosine along the orbit")
    _put_legend_below(axis, columns=2)


def _put_legend_below(axis: Any, columns: int) -> None:
    """Inside there are data everywhere."""
    axis.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=columns, frameon=False)


def _draw_rest(axis: Any, diagnosis: Diagnosis) -> None:
    """Shares: actions by irreps, dead and identical units; Noether's order as a line of text."""
    units = max(diagnosis.plasticity.units, 1)
    bars = {f"actions, {name}": share for name, share in diagnosis.parity.items()}
    bars["dead units"] = diagnosis.plasticity.dead / units
    bars["identical units"] = diagnosis.plasticity.identical / units
    axis.barh(list(bars), list(bars.values()), color="#66a182", height=0.6)
    axis.invert_yaxis()
    axis.set_xlim(0.0, 1.0)
    axis.tick_params(axis="y", labelsize=8)
    axis.set_xlabel("share")
    if diagnosis.noether is not None:
        n = diagnosis.noether
        words = "falls" if n.holds else "does not fall"
        axis.set_title(
            f"angular momentum: {n.changes[-1]:.0e} lost at {1e3 * n.timesteps[-1]:.2g} ms,\n"
            f"{words} as dt^{n.order:.1f}",
            fontsize=8,
        )
