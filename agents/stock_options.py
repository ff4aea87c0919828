"""``policy_kwargs`` of scripts for Stable-Baselines3's policies, translated for an equivariant policy.

Widths and activation go to the backbones. Options that only concern state-dependent noise or images have no effect. All
other options are refused, with the fix.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from stable_baselines3.common.torch_layers import CombinedExtractor, FlattenExtractor
from torch import nn

from eqrl.agents.features import TypedFeatures
from eqrl.errors import suggestion
from eqrl.nn.perceptron import ACTIVATIONS

Options = Mapping[str, Any] | None
NetArch = Sequence[int] | Mapping[str, Sequence[int]]

_RECURRENT = "there is no recurrent policy in eqrl; put what is to be remembered into the observation"
_FEATURES = (
    "the features are the typed observation, normalised in the policy (options normalize, normalize_until,"
    " relative_goal); compute others in the environment and give them types, or in the network: network=,"
    " network_kwargs="
)
# For each option: the accepted values (None: any, without effect), and the message for all others.
_OTHERS: Mapping[str, tuple[Sequence[Any] | None, str]] = {
    "full_std": (None, ""),
    "use_expln": (None, ""),
    "clip_mean": (None, ""),
    "normalize_images": (None, ""),
    "ortho_init": (
        [True],
        (
            "equivariant layers have an initialisation of their own, orthogonal where they are plain; leave ortho_init"
            " out. network_kwargs={'output_gain': 1.0} starts the actor's last layer at full size"
        ),
    ),
    "squash_output": (
        [False],
        (
            "actions that are bounded vectors are squashed into their ball already, without leaving the symmetry; leave"
            " it out"
        ),
    ),
    "features_extractor_class": ([None, FlattenExtractor, CombinedExtractor, TypedFeatures], _FEATURES),
    "features_extractor_kwargs": ([None, {}], _FEATURES),
    "lstm_hidden_size": ([], _RECURRENT),
    "n_lstm_layers": ([], _RECURRENT),
    "shared_lstm": ([], _RECURRENT),
    "enable_critic_lstm": ([], _RECURRENT),
    "lstm_kwargs": ([], _RECURRENT),
}
STOCK_OPTIONS = frozenset({"net_arch", "activation_fn", *_OTHERS})


def translated(
    stock: Mapping[str, Any],
    known: set[str],
    critic: str,
    networks: tuple[str, Options, str | None, Options],
) -> tuple[Options, Options]:
    """Options of the backbones of actor and critic, merged with those that stock options set.

    Args:
        stock: options that are not the policy's own.
        known: names of the policy's own options.
        critic: SB3's name for the critic in ``net_arch``, ``"vf"`` or ``"qf"``.
        networks: ``network``, ``network_kwargs``, ``critic_network`` and ``critic_kwargs`` as given.

    Raises:
        TypeError: for an unknown option, naming the closest one.
        ValueError: for an option that cannot be honoured or is given twice, with the fix.
    """
    network, actor_options, critic_network, critic_options = networks
    for name, value in stock.items():
        if name not in STOCK_OPTIONS:
            raise TypeError(f"the policy has no option {name!r}; {suggestion(name, known | STOCK_OPTIONS)}")
        if name in _OTHERS:
            _check(name, value, *_OTHERS[name])
    given: dict[str, tuple[str, Any, Any]] = {}
    if (net_arch := stock.get("net_arch")) is not None:
        given["hidden"] = ("net_arch", *_widths(net_arch, critic))
    if (activation := stock.get("activation_fn")) is not None:
        chosen = activation_of(activation)
        given["activation"] = ("activation_fn", chosen, chosen)
    if not given:
        return actor_options, critic_options
    if critic_options is None and critic_network in (None, network):
        critic_options = actor_options
    for option, (name, _, _) in given.items():
        for holder, options in (("network_kwargs", actor_options), ("critic_kwargs", critic_options)):
            if isinstance(options, Mapping) and option in options:
                raise ValueError(
                    f"{name} and {holder}={{{option!r}: ...}} say the same thing twice; leave one of them out"
                )
    actor_widths = {option: value for option, (_, value, _) in given.items()}
    critic_widths = {option: value for option, (_, _, value) in given.items()}
    return {**(actor_options or {}), **actor_widths}, {**(critic_options or {}), **critic_widths}


def activation_of(value: str | Callable[[], nn.Module]) -> str | Callable[[], nn.Module]:
    """An activation as backbones accept it: by its name if it has one, otherwise the callable that makes the module.

    Args:
        value: a class of ``torch.nn`` or another callable that makes a module, or its name.

    Raises:
        ValueError: if it is none of these.
    """
    maker = activation_named(value) if isinstance(value, str) else value
    for name, kind in ACTIVATIONS.items():
        if maker is kind:
            return name
    try:
        made: Any = maker()
    except TypeError:
        made = None
    if not isinstance(made, nn.Module):
        raise ValueError(f"activation_fn={value!r} does not make a module; give the class, torch.nn.ReLU for instance")
    return maker


def activation_named(text: str) -> type[nn.Module]:
    """The class of ``torch.nn`` for ``"ReLU"``, ``"relu"`` or ``"torch.nn.ReLU"``.

    Raises:
        ValueError: for an unknown name, with the closest one.
    """
    kinds = {name.lower(): getattr(nn, name) for name in nn.modules.activation.__all__}
    name = text.rsplit(".", 1)[-1].lower()
    if name not in kinds:
        raise ValueError(f"activation_fn={text!r} is unknown; {suggestion(name, ACTIVATIONS)}")
    kind: type[nn.Module] = kinds[name]
    return kind


def _widths(net_arch: Any, critic: str) -> tuple[list[int], list[int]]:
    """Widths of actor and critic."""
    if isinstance(net_arch, list | tuple) and len(net_arch) == 1 and isinstance(net_arch[0], Mapping):
        net_arch = net_arch[0]  # the form of SB3 before 1.8, which it still accepts
    if not isinstance(net_arch, Mapping):
        return _layers("net_arch", net_arch), _layers("net_arch", net_arch)
    # on-policy, SB3 reads a missing key as no layers
    missing = {"pi", critic} - set(net_arch) if critic != "vf" else set()
    if missing or set(net_arch) - {"pi", critic}:
        raise ValueError(
            f"net_arch={net_arch!r} does not hold widths for 'pi' and {critic!r}, the actor and the critic of this"
            f" algorithm; give net_arch={{'pi': [64, 64], {critic!r}: [64, 64]}}, or network_kwargs={{'hidden': [64,"
            " 64]}"
        )
    actor, value = (_layers(f"net_arch[{key!r}]", net_arch.get(key, [])) for key in ("pi", critic))
    return actor, value


def _layers(name: str, widths: Any) -> list[int]:
    if not isinstance(widths, list | tuple) or not all(
        isinstance(width, int | np.integer) and width > 0 for width in widths
    ):
        raise ValueError(f"{name}={widths!r} are not the widths of layers; give whole numbers, [64, 64] for instance")
    return [int(width) for width in widths]


def _check(name: str, value: Any, allowed: Sequence[Any] | None, why: str) -> None:
    if allowed is not None and not any(value is good or (isinstance(good, dict) and value == good) for good in allowed):
        shown = re.sub(r"^<class '(.*)'>$", r"\1", repr(value))
        raise ValueError(f"{name}={shown} is not for equivariant policies: {why}")
