"""How far two rollouts may be apart that ought to be the same.

Where a robot is chaotic, rounding grows: the yardstick is what the same rollout does after a nudge of its state.
"""

NUDGE = 1e-14
CHAOS_FACTOR = 100.0
LARGEST_CHAOS = 1e-4  # where a nudge of 1e-14 grows beyond this, nothing is left to compare with
