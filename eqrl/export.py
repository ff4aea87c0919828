"""Export the deterministic policy of a model: ``python -m eqrl.export RUN --out policy.onnx``, ``eqrl export``, or :func:`export_policy`."""

import sys

from eqrl.agents.export import DeterministicPolicy, export_policy

__all__ = ["DeterministicPolicy", "export_policy"]

if __name__ == "__main__":
    from eqrl.commands import main

    sys.exit(main(["export", *sys.argv[1:]]))
