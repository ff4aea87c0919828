"""Discovery: which of many candidate symmetries a world obeys, and how surely."""

from eqrl.discovery.bottleneck import Bottleneck, reverse_annealing
from eqrl.discovery.candidates import Candidate, LinearMap
from eqrl.discovery.discover import discover, discover_in_data
from eqrl.discovery.measurement import Measurement
from eqrl.discovery.refinement import EffectiveGroup, Tried
from eqrl.discovery.transitions import Transitions, record

__all__ = [
    "Bottleneck",
    "Candidate",
    "EffectiveGroup",
    "LinearMap",
    "Measurement",
    "Transitions",
    "Tried",
    "discover",
    "discover_in_data",
    "record",
    "reverse_annealing",
]
