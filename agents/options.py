"""Reading a policy's options and spaces, with errors that say what to write instead."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from numbers import Integral
from typing import Any

import gymnasium
from gymnasium.spaces import Discrete, MultiBinary, MultiDiscrete

from eqrl.errors import suggestion
from eqrl.nn import BACKBONES
from eqrl.symmetry import Representation, UntypedSpaceError, representation_of

# arguments that the policy itself sets
_SET_BY_POLICY = {"in_rep", "out_rep", "group"}


def representation_in(space: gymnasium.Space[Any], what: str) -> Representation:
    """The representation of a typed space.

    Args:
        space: a ``TypedBox``, or a ``Dict`` of them.
        what: ``"observation"`` or ``"action"``, for the message.

    Raises:
        UntypedSpaceError: if the space, or one of its entries, is not typed.
    """
    if isinstance(space, Discrete | MultiDiscrete | MultiBinary):
        raise UntypedSpaceError(
            f"the {what} space is {space}, and eqrl's policies are for continuous actions and typed vectors; "
            "use an algorithm of Stable-Baselines3 with MlpPolicy, or an environment whose actions are a Box"
        )
    try:
        return representation_of(space)
    except UntypedSpaceError as error:
        raise UntypedSpaceError(str(error).replace("the space", f"the {what} space", 1)) from None


def network_options(name: str, network: str, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """The options of a backbone, checked by name.

    Args:
        name: argument of the policy that holds the options, for messages.
        network: a name in ``BACKBONES``; options of unknown names are not checked.
        options: the options, or None.

    Raises:
        ValueError: naming the closest option, or the form that is expected.
    """
    if options is None:
        return {}
    if not isinstance(options, Mapping):
        raise ValueError(
            f"{name}={options!r} does not hold options; give for instance '{name}:{{hidden:[64,64]}}', in quotes"
        )
    known = set(inspect.signature(BACKBONES[network]).parameters) - _SET_BY_POLICY if network in BACKBONES else set()
    for option in options if known else ():
        if option not in known:
            raise ValueError(f"{name}: {network!r} has no option {str(option)!r}; {suggestion(str(option), known)}")
    hidden = options.get("hidden")
    if hidden is not None and (
        not isinstance(hidden, (list, tuple)) or not all(isinstance(width, Integral) for width in hidden)
    ):
        raise ValueError(
            f"{name}: hidden={hidden!r} are not the widths of layers; give whole numbers, [64, 64] for instance"
        )
    return dict(options)
