"""Why a symmetry does not hold: one thing is changed on a copy, and the proof run again, to see whether the violation is gone."""
