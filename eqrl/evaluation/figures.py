"""Figures of zero-shot evaluations: success against the rotation angle of the world."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from eqrl.evaluation.protocol import ZeroShot
from eqrl.files.atomic import whole_file

PALETTE = ("#0b7a75", "#d1495b", "#8d8d92", "#edae49", "#5b5ea6", "#66a182", "#30638e")
_INK, _FAINT = "#22313f", "#c9d1d9"
_LABELS = {"scene": "the whole scene is turned", "goal": "only the goal is turned"}


@dataclass(frozen=True)
class Curve:
    """One line of a polar figure.

    Attributes:
        angles_deg: shape ``(n,)``.
        value: between 0 and 1, shape ``(n,)``.
        low: lower end of the interval, shape ``(n,)``.
        high: upper end, shape ``(n,)``.
    """

    angles_deg: NDArray[np.float64]
    value: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @classmethod
    def of(cls, result: ZeroShot) -> Curve:
        """Success of one run.

        If the environment does not report it, the return relative to angle 0, clipped to [0, 1].
        """
        if result.success is not None:
            low, high = np.array(result.success_interval()).T
            return cls(result.angles_deg, result.success, low, high)
        value = np.clip(
            result.retention if result.retention is not None else np.zeros(len(result.angles_deg)), 0.0, 1.0
        )
        return cls(result.angles_deg, value, value, value)


def sector_width(env_kwargs: Mapping[str, Any]) -> float | None:
    """Width in degrees of the sector of training goals; None if it is unknown or a full turn."""
    for name in ("target_sector", "sector"):
        sector = env_kwargs.get(name)
        if isinstance(sector, (list, tuple)) and len(sector) == 2:
            width = float(sector[1]) - float(sector[0])
            return width if width < 360.0 else None
    return None


def figure(rows: int = 1, columns: int = 1, size: float = 5.2, **axes: Any) -> tuple[Figure, Any]:
    """A figure without global state or display, and its axes as an array of shape ``(rows, columns)``."""
    drawing = Figure(figsize=(size * columns, size * rows), layout="constrained", facecolor="white")
    FigureCanvasAgg(drawing)
    return drawing, drawing.subplots(rows, columns, squeeze=False, subplot_kw=axes)


def draw_polar(axis: Any, curves: Mapping[str, Curve], width: float | None, title: str) -> None:
    """Draw success against angle on polar axes.

    Args:
        axis: matplotlib polar axes.
        curves: name and curve; the first is drawn on top.
        width: width in degrees of the training sector, shaded; None for none.
        title: above the axes.
    """
    for i, (name, curve) in enumerate(curves.items()):
        color = PALETTE[i % len(PALETTE)]
        # on a circle, a straight line between two equal values would dip inwards, so the lines are curved
        theta = np.linspace(0.0, 2.0 * np.pi, 721)
        value, low, high = (
            np.interp(theta, np.deg2rad(curve.angles_deg), v, period=2.0 * np.pi)
            for v in (curve.value, curve.low, curve.high)
        )
        axis.fill_between(theta, low, high, color=color, alpha=0.14, linewidth=0, zorder=2)
        above = {"color": color, "zorder": 3 + len(curves) - i, "clip_on": False}
        axis.plot(theta, value, linewidth=2.2, **above)
        axis.plot(np.deg2rad(curve.angles_deg), curve.value, marker="o", markersize=4.5, linewidth=0, **above)
        axis.plot([], [], color=color, linewidth=2.2, marker="o", markersize=4.5, label=name)
    if width is not None:
        axis.bar(
            0.0, 1.0, width=np.deg2rad(width), color="#f4d58d", alpha=0.55, linewidth=0, zorder=0, label="trained here"
        )
    axis.set_ylim(0.0, 1.0)
    axis.set_yticks([0.25, 0.5, 0.75, 1.0])
    axis.set_yticklabels(["", "0.5", "", ""], fontsize=8, color=_INK)
    axis.set_rlabel_position(75)
    axis.set_xticks(np.deg2rad(np.arange(0, 360, 30)))
    axis.tick_params(axis="x", labelsize=9, colors=_INK, pad=2)
    axis.grid(color=_FAINT, linewidth=0.7)
    axis.spines["polar"].set_color(_FAINT)
    axis.set_title(title, fontsize=11, color=_INK, pad=14)


def plot_zero_shot(
    results: Mapping[str, ZeroShot], path: str | Path, *, title: str = "", width: float | None = None
) -> None:
    """Write a polar figure, ``.png``, ``.svg`` or ``.pdf``.

    Args:
        results: name and result of each line, all of one protocol.
        path: the file; its folder is created.
        title: first line.
        width: width in degrees of the training sector.

    Raises:
        ValueError: if the results have different protocols, or there are none.
    """
    protocols = {r.protocol for r in results.values()}
    if len(protocols) != 1:
        raise ValueError(f"one figure shows one protocol, got {sorted(protocols) or 'none'}")
    drawing, axes = figure(size=5.6, projection="polar")
    first = next(iter(results.values()))
    measure = "success" if first.success is not None else "return relative to angle 0"
    heading = f"{measure}, {_LABELS[protocols.pop()]} by this angle"
    draw_polar(
        axes[0, 0], {n: Curve.of(r) for n, r in results.items()}, width, f"{title}\n{heading}" if title else heading
    )
    drawing.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9, labelcolor=_INK)
    save_figure(drawing, path)


def save_figure(drawing: Figure, path: str | Path) -> None:
    """Write a figure atomically, and create its folder."""
    with whole_file(Path(path)) as aside:
        drawing.savefig(aside, dpi=160, format=Path(path).suffix.removeprefix(".") or "png")
