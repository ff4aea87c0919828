"""One file a checkpoint: parameters, optimisers and counters as safetensors, which hold numbers and never code."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.save_util import recursive_getattr, recursive_setattr
from stable_baselines3.common.vec_env import VecNormalize, unwrap_vec_normalize

from eqrl.errors import UsageError

FORMAT = "eqrl-checkpoint-1"
_COUNTERS = ("num_timesteps", "_n_updates", "_episode_num", "_current_progress_remaining")


def save_checkpoint(model: BaseAlgorithm, path: Path, extra: Mapping[str, Any] | None = None) -> None:
    """Write a checkpoint beside its place and then move it there, so that a kill never leaves half a file.

    Args:
        model: any Stable-Baselines3 algorithm.
        path: the file, ``.safetensors``; an older one is replaced.
        extra: further plain values to keep.

    Raises:
        FloatingPointError: if a parameter is not finite; the older checkpoint stays.
    """
    tensors: dict[str, torch.Tensor] = {}
    optimizers: dict[str, Any] = {}
    plain = {
        "format": FORMAT,
        "algorithm": type(model).__name__,
        "counters": {name: getattr(model, name) for name in _COUNTERS if hasattr(model, name)},
        "optimizers": optimizers,
        "reward_normaliser": _reward_normaliser(model),
        "extra": dict(extra or {}),
    }
    for name, state in model.get_parameters().items():
        if "param_groups" in state:
            optimizers[name] = _pack_optimizer(name, state, tensors)
        else:
            tensors.update({f"{name}/{key}": value for key, value in state.items()})
    for name in model._get_torch_save_params()[1]:
        value = recursive_getattr(model, name)
        if isinstance(value, torch.Tensor):  # e.g. SAC's log_ent_coef, which get_parameters() leaves out
            tensors[f"variables/{name}"] = value
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise FloatingPointError(f"parameter {name!r} is not finite")
    # clone: safetensors refuses tensors that share memory, and SB3's shared feature extractors do
    frozen = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with aside.open("wb") as file:  # safetensors' own save_file makes files that only their owner can read
            file.write(save(frozen, metadata={"eqrl": json.dumps(plain)}))
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def load_checkpoint(model: BaseAlgorithm, path: Path) -> dict[str, Any]:
    """Put a checkpoint into a model of the same architecture. Nothing in the file is executed.

    Args:
        model: freshly built from the run's configuration.
        path: the file.

    Returns:
        The ``extra`` values that were saved with it.

    Raises:
        UsageError: if the file is not a checkpoint, or of another architecture.
    """
    plain, tensors = read_checkpoint(path)
    parameters: dict[str, Any] = {}
    for key, tensor in tensors.items():
        owner, _, name = key.partition("/")
        if owner != "variables" and owner not in plain["optimizers"]:
            parameters.setdefault(owner, {})[name] = tensor
    for name, packed in plain["optimizers"].items():
        parameters[name] = _unpack_optimizer(name, packed, tensors)
    try:
        model.set_parameters(parameters, exact_match=True, device=model.device)
    except (ValueError, RuntimeError, KeyError) as error:
        raise UsageError(f"checkpoint {path} does not fit the configured model: {error}") from None
    for key, tensor in tensors.items():
        if key.startswith("variables/"):
            # in place, because SAC's optimiser holds the very tensor
            name = key.removeprefix("variables/")
            recursive_setattr(model, f"{name}.data", tensor.to(model.device))
    for name, value in plain["counters"].items():
        setattr(model, name, value)
    env = model.get_env()
    normaliser = unwrap_vec_normalize(env) if env is not None else None
    if normaliser is not None and plain["reward_normaliser"] is not None:
        for name, value in plain["reward_normaliser"].items():
            setattr(normaliser.ret_rms, name, value)
    extra: dict[str, Any] = plain["extra"]
    return extra


def read_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Plain values and tensors of a checkpoint, without a model.

    Raises:
        UsageError: if the file is missing or is not a checkpoint of this format.
    """
    try:
        with safe_open(path, framework="pt") as file:
            plain = json.loads((file.metadata() or {}).get("eqrl", "{}"))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
    except (OSError, SafetensorError, ValueError) as error:
        raise UsageError(f"{path} is not a readable checkpoint: {error}") from None
    if plain.get("format") != FORMAT:
        raise UsageError(f"{path} is not an eqrl checkpoint (format {plain.get('format')!r}, expected {FORMAT!r})")
    return plain, tensors


def _pack_optimizer(name: str, state: Mapping[str, Any], tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
    scalars: dict[str, dict[str, Any]] = {}
    for index, slots in state["state"].items():
        for slot, value in slots.items():
            if isinstance(value, torch.Tensor):
                tensors[f"{name}/{index}/{slot}"] = value
            else:
                scalars.setdefault(str(index), {})[slot] = value
    return {"param_groups": state["param_groups"], "scalars": scalars}


def _unpack_optimizer(name: str, packed: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
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


def _reward_normaliser(model: BaseAlgorithm) -> dict[str, float] | None:
    env = model.get_env()
    normaliser: VecNormalize | None = unwrap_vec_normalize(env) if env is not None else None
    if normaliser is None:
        return None
    rms = normaliser.ret_rms
    return {"mean": float(rms.mean), "var": float(rms.var), "count": float(rms.count)}
