"""Why a symmetry does not hold.

One thing is changed on a copy, and the proof run again, to see whether the violation is gone.
"""
