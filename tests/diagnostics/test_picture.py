"""The picture uses the words of the table, and hides no data."""

from matplotlib.figure import Figure

from eqrl.diagnostics import diagnose_model
from eqrl.diagnostics.picture import _BANDS, _draw_cosines, _draw_errors


def test_legends_lie_outside_and_bands_are_called_as_verdicts(stock, sample):
    diagnosis = diagnose_model(stock, sample[slice(8)])
    axes = Figure(figsize=(14.0, 5.0), layout="constrained").subplots(1, 2)
    for axis, panel in zip(axes, (_draw_errors, _draw_cosines), strict=True):
        panel(axis, diagnosis)
    figure = axes[0].figure
    figure.draw_without_rendering()
    for axis in axes:
        assert axis.get_legend().get_window_extent().y1 < axis.get_window_extent().y0
    assert {name for *_, name in _BANDS} == {"exact", "fitted", "free"}
    assert {c.verdict(what) for c in diagnosis.candidates for what in ("actor", "value")} <= {n for *_, n in _BANDS}
