"""Evaluation of agents on rotated worlds: protocols, statistics, figures and videos."""

from eqrl.evaluation.figures import PALETTE, Curve, draw_polar, figure, plot_zero_shot, save_figure
from eqrl.evaluation.protocol import PROTOCOLS, Episodes, ZeroShot, equivariance_error, play, zero_shot
from eqrl.evaluation.statistics import bootstrap_interval, interquartile_mean, mean_interval, wilson_interval

__all__ = [
    "PALETTE",
    "PROTOCOLS",
    "Curve",
    "Episodes",
    "ZeroShot",
    "bootstrap_interval",
    "draw_polar",
    "equivariance_error",
    "figure",
    "interquartile_mean",
    "mean_interval",
    "play",
    "plot_zero_shot",
    "save_figure",
    "wilson_interval",
    "zero_shot",
]
