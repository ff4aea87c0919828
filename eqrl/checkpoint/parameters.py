"""Parameters, optimisers and variables of a model as safetensors, which hold numbers and no code."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Mapping
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.save_util import recursive_getattr, recursive_setattr
from torch import Tensor

from eqrl.checkpoint.manifest import DamagedCheckpointError
from eqrl.errors import UsageError

Tensors = dict[str, Tensor]
# Options that choose a kernel and not the result; checkpoints from before the fused Adam resume with it.
KERNEL_OPTIONS = frozenset({"fused", "foreach"})
_VARIABLES = "variables"
_MOMENTS = ("mean", "var", "count")


def policy_tensors(model: BaseAlgorithm) -> Tensors:
    """Everything in the policy: weights, target networks and statistics of the normaliser.

    Raises:
        FloatingPointError: if one of them is not finite.
    """
    tensors = _tensors_of(model)
    if (name := _first_not_finite(tensors)) is not None:
        raise FloatingPointError(f"parameter {name!r} is not finite")
    return tensors


def training_tensors(model: BaseAlgorithm) -> tuple[Tensors, dict[str, Any]]:
    """State that only training needs: optimisers, and variables such as SAC's entropy coefficient.

    Returns:
        The tensors, and the plain values of the optimisers.
    """
    tensors: Tensors = {}
    optimizers: dict[str, Any] = {}
    for name, state in model.get_parameters().items():
        if "param_groups" in state:
            optimizers[name] = _pack_optimizer(name, state, tensors)
    tensors |= {f"{_VARIABLES}/{name}": value for name, value in variables_of(model).items()}
    return tensors, optimizers


def optimizers_of(model: BaseAlgorithm) -> dict[str, torch.optim.Optimizer]:
    """All optimisers of a model by name, including that of SAC's entropy coefficient."""
    owners = {name: recursive_getattr(model, name) for name in model._get_torch_save_params()[0]}
    return {name: value for name, value in owners.items() if isinstance(value, torch.optim.Optimizer)}


def variables_of(model: BaseAlgorithm) -> Tensors:
    """Tensors outside the policy by name, such as SAC's ``log_ent_coef``."""
    variables = {name: recursive_getattr(model, name) for name in model._get_torch_save_params()[1]}
    return {name: value for name, value in variables.items() if isinstance(value, Tensor)}


def encode(tensors: Tensors, plain: Mapping[str, Any] | None = None) -> bytes:
    """Encode tensors and plain values as the content of a safetensors file."""
    # clone: safetensors refuses tensors that share memory, and SB3's shared feature extractors do
    frozen = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    return save(frozen, metadata={"eqrl": json.dumps(dict(plain or {}))})


def decode(content: bytes, what: str) -> tuple[Tensors, dict[str, Any]]:
    """The inverse of :func:`encode`.

    Raises:
        DamagedCheckpointError: if it is not safetensors.
    """
    try:
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        plain = json.loads(header.get("__metadata__", {}).get("eqrl", "{}"))
        if not isinstance(plain, dict):
            raise ValueError("its metadata is not a table")
        return load(content), plain
    except (SafetensorError, ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise DamagedCheckpointError(f"{what} is not a readable checkpoint: {error}") from None


def load_policy(model: BaseAlgorithm, tensors: Tensors, what: str) -> None:
    """Put parameters into the policy of a model of the same architecture.

    Raises:
        UsageError: naming the first tensor that does not fit; the model is unchanged.
    """
    _check_fit(tensors, _tensors_of(model), what)
    if (name := _first_not_finite(tensors)) is not None:
        raise UsageError(f"{what} holds a parameter {name!r} that is not finite, and such a model is never saved")
    model.policy.load_state_dict(tensors)


def load_training(model: BaseAlgorithm, tensors: Tensors, optimizers: Mapping[str, Any], what: str) -> None:
    """Put optimisers and variables into a model of the same architecture.

    Raises:
        UsageError: naming the first thing that does not fit.
    """
    configured = optimizers_of(model)
    optimizers = optimizers if isinstance(optimizers, dict) else {}
    if set(optimizers) != set(configured):
        raise UsageError(f"{what} has optimisers {sorted(optimizers)}, the configured model has {sorted(configured)}")
    for name, optimizer in sorted(configured.items()):
        try:
            state = _unpack_optimizer(name, optimizers[name], tensors)
            _check_optimizer(optimizer, state)
            optimizer.load_state_dict(state)
        except (ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
            raise UsageError(f"{what} does not fit the configured model: {name}: {error}") from None
    stored = {
        name.removeprefix(f"{_VARIABLES}/"): t for name, t in tensors.items() if name.startswith(f"{_VARIABLES}/")
    }
    variables = variables_of(model)
    _check_fit(stored, variables, what)
    for name, tensor in stored.items():
        # in place, because SAC's optimiser holds this tensor
        recursive_setattr(model, f"{name}.data", tensor.to(model.device))


def reward_scale(model: BaseAlgorithm) -> dict[str, Any] | None:
    """Statistics of ``VecNormalize``, which scales rewards and is the only normaliser outside the policy.

    None without it. If it has statistics for each member of a fleet, ``members`` holds them by name.
    """
    normaliser = model.get_vec_normalize_env()
    if normaliser is None:
        return None
    rms = normaliser.ret_rms
    if (rows := _rows(rms)) is not None:
        return {"members": {name: {key: float(getattr(rms, key)[i]) for key in _MOMENTS} for name, (i, *_) in rows}}
    return {key: float(getattr(rms, key)) for key in _MOMENTS}


def set_reward_scale(model: BaseAlgorithm, stored: Any, what: str) -> None:
    """Restore the statistics of :func:`reward_scale`.

    Raises:
        DamagedCheckpointError: if they do not have its form.
    """
    normaliser = model.get_vec_normalize_env()
    if normaliser is None or stored is None:
        return
    rms = normaliser.ret_rms
    rows = _rows(rms)
    if rows is None:
        for key, value in _moments(stored, what).items():
            setattr(rms, key, value)
        return
    members = stored.get("members") if isinstance(stored, dict) else None
    if members is None:  # until version 0.2, the members of a fleet shared their statistics
        members = {name: stored for name, _ in rows}
    if not isinstance(members, dict) or set(members) != {name for name, _ in rows}:
        raise DamagedCheckpointError(f"{what} has invalid statistics of rewards")
    for name, indices in rows:
        for key, value in _moments(members[name], what).items():
            getattr(rms, key)[indices] = value


def _rows(statistics: Any) -> list[tuple[str, list[int]]] | None:
    """Indices of the environments of each member, if the statistics are those of members."""
    rows = getattr(statistics, "rows", None)
    return None if rows is None else list(rows.items())


def _moments(stored: Any, what: str) -> dict[str, float]:
    fits = isinstance(stored, dict) and set(stored) == set(_MOMENTS)
    if not fits or any(type(value) is not float for value in stored.values()):
        raise DamagedCheckpointError(f"{what} has invalid statistics of rewards")
    moments: dict[str, float] = stored
    return moments


def _tensors_of(model: BaseAlgorithm) -> Tensors:
    return {name: value for name, value in model.policy.state_dict().items() if isinstance(value, Tensor)}


def _first_not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    return next((n for n, t in tensors.items() if t.is_floating_point() and not bool(torch.isfinite(t).all())), None)


def _check_fit(stored: Mapping[str, Tensor], expected: Mapping[str, Tensor], what: str) -> None:
    why = f"{what} does not fit the configured model"
    for name in sorted({*stored, *expected}):
        if name not in stored or name not in expected:
            raise UsageError(f"{why}: {name!r} is only in the {'checkpoint' if name in stored else 'model'}")
        if stored[name].shape != expected[name].shape or stored[name].dtype != expected[name].dtype:
            raise UsageError(
                f"{why}: {name!r} is {stored[name].dtype} of shape {tuple(stored[name].shape)}, "
                f"the model has {expected[name].dtype} of shape {tuple(expected[name].shape)}"
            )


def _check_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Check the state of an optimiser: PyTorch accepts anything, and fails at the next step or not at all."""
    configured_groups = optimizer.state_dict()["param_groups"]
    for group, configured in zip(state["param_groups"], configured_groups, strict=True):
        for option in KERNEL_OPTIONS & {*configured}:
            if group.get(option) is None or isinstance(group[option], bool):
                group[option] = configured[option]
        # the learning rate follows a schedule; everything else is configured
        wrong = [
            k for k in {*group, *configured} if k != "lr" and (k not in group or group[k] != configured.get(k, group))
        ]
        if wrong or not isinstance(group["lr"], float) or not math.isfinite(group["lr"]):
            raise ValueError(f"its {sorted(wrong)[0] if wrong else 'lr'} is not the configured one")
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    if not set(state["state"]) <= set(range(len(parameters))):
        raise ValueError("it has moments of more parameters than there are")
    expected = _slots(optimizer)
    for index, slots in state["state"].items():
        if set(slots) != set(expected):
            raise ValueError(f"it keeps {sorted(slots)} of parameter {index} instead of {sorted(expected)}")
        for slot, value in slots.items():
            like = expected[slot]
            shape = parameters[index].shape if isinstance(like, Tensor) and like.dim() else ()
            if type(value) is not type(like) or (
                isinstance(value, Tensor) and (value.shape != shape or value.dtype != like.dtype)
            ):
                raise ValueError(f"{slot} of parameter {index} has another shape or type")


def _slots(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """What an optimiser stores for a parameter, read from a fresh one of the same class after one step."""
    probe = torch.nn.Parameter(torch.zeros(2))
    known = inspect.signature(type(optimizer).__init__).parameters
    twin = type(optimizer)([probe], **{name: value for name, value in optimizer.defaults.items() if name in known})
    probe.grad = torch.zeros(2)
    twin.step()
    return dict(twin.state[probe])


def _pack_optimizer(name: str, state: Mapping[str, Any], tensors: Tensors) -> dict[str, Any]:
    scalars: dict[str, dict[str, Any]] = {}
    for index, slots in state["state"].items():
        for slot, value in slots.items():
            if isinstance(value, Tensor):
                tensors[f"{name}/{index}/{slot}"] = value
            else:
                scalars.setdefault(str(index), {})[slot] = value
    return {"param_groups": state["param_groups"], "scalars": scalars}


def _unpack_optimizer(name: str, packed: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    state: dict[int, dict[str, Any]] = {int(i): dict(slots) for i, slots in packed["scalars"].items()}
    for key, tensor in tensors.items():
        if key.startswith(f"{name}/"):
            index, slot = key.removeprefix(f"{name}/").split("/")
            state.setdefault(int(index), {})[slot] = tensor
    # JSON has no tuples, and Adam's betas are one
    groups = [
        {key: tuple(value) if isinstance(value, list) and key != "params" else value for key, value in group.items()}
        for group in packed["param_groups"]
    ]
    return {"state": state, "param_groups": groups}
