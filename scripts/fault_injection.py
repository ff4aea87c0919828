"""Try to lose, damage or hijack trainings, and count how often it works.

    python scripts/fault_injection.py                              # everything: about an hour on one core
    python scripts/fault_injection.py --parts kills,damage --seed 1
    python scripts/fault_injection.py --quick --out somewhere      # the version that the tests run: minutes

Parts: ``kills`` (SIGKILL at random moments and inside saves), ``resume`` (every algorithm, resumed against
    uninterrupted),
``damage`` (bit flips, truncations, swapped files), ``hostile`` (made-up checkpoints with right checksums), ``disks``
(full, broken, read-only), ``signals`` (to real processes), ``guards`` (NaN planted in a training). Each writes its
numbers to
``<out>/<part>.json``, and ``<out>/README.md`` is made from all files there. The exit code is 1 if anything failed.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from faults.campaign import main

if __name__ == "__main__":
    sys.exit(main(__doc__))
