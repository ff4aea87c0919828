"""Export the deterministic policy of a model: :func:`export_policy`, ``eqrl export`` or ``python -m eqrl.export``."""

import sys

from eqrl.agents.export import DeterministicPolicy, export_policy

__all__ = ["DeterministicPolicy", "export_policy"]

if __name__ == "__main__":
    from eqrl.commands import main

    sys.exit(main(["export", *sys.argv[1:]]))
