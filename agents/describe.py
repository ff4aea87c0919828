"""Description of a policy as text, for logs and run folders."""

from __future__ import annotations

from torch import nn

from eqrl.agents.networks import Networks


def describe(policy: nn.Module, networks: Networks) -> str:
    """Fields of observation and action, group, networks and number of parameters, as text."""
    count = sum(p.numel() for p in policy.parameters() if p.requires_grad)
    return "\n".join(
        [
            (
                f"{type(policy).__name__}: commutes with {networks.group}, of {networks.observation.group} that the"
                " environment declares"
            ),
            networks.describe(),
            f"{count} trainable parameters",
            "",
            "observation",
            networks.observation.table(),
            "",
            "action",
            networks.action.table(),
        ]
    )
