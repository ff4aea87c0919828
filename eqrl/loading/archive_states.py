"""States in an archive, each compared with the part of the model that it belongs to."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.save_util import recursive_getattr

from eqrl.checkpoint.parameters import KERNEL_OPTIONS
from eqrl.errors import UsageError
from eqrl.files.tensor_file import StoredTensor, TensorFileError, read_tensor_file
from eqrl.files.zip_members import ZIP_ERRORS, read_member
from eqrl.loading.archive_members import FIX, SLOTS, VARIABLES


@dataclass(frozen=True)
class States:
    """Reads states from an open archive.

    Attributes:
        path: path of the archive, for errors.
        archive: the open archive.
    """

    path: Path
    archive: zipfile.ZipFile

    def error(self, text: str) -> UsageError:
        """The error to raise."""
        return UsageError(f"{self.path} is not loaded: {text}")

    def _tensors(self, member: str) -> Any:
        try:
            return read_tensor_file(read_member(self.archive, self.archive.getinfo(member)))
        except TensorFileError as error:
            raise self.error(f"{member} {error}") from None
        except ZIP_ERRORS as error:
            raise self.error(f"{member} is damaged: {str(error)[:200]}") from None

    def state(self, member: str, owner: Any) -> dict[str, Any]:
        """A state dict for a module or optimiser of the model.

        Args:
            member: the file in the archive.
            owner: the module or optimiser.

        Raises:
            UsageError: if the file is damaged or does not fit.
        """
        stored = self._tensors(member)
        expected: dict[str, Any] = owner.state_dict()
        if isinstance(owner, torch.optim.Optimizer):
            return self._optimizer(stored, owner, expected, member)
        self._check_keys(stored, expected, member)
        for name, tensor in expected.items():
            # into the model's state dict, which also holds the versions of its modules
            expected[name] = self._tensor(stored[name], tensor, f"{member}, {name!r}")
        return expected

    def _optimizer(
        self, stored: Any, owner: torch.optim.Optimizer, expected: dict[str, Any], member: str
    ) -> dict[str, Any]:
        self._check_keys(stored, expected, member)
        groups, slots = stored["param_groups"], stored["state"]
        if not isinstance(groups, list) or len(groups) != len(expected["param_groups"]) or not isinstance(slots, dict):
            raise self.error(f"{member} is no state of the optimiser of the configured model")
        for group, ours in zip(groups, expected["param_groups"], strict=True):
            if not isinstance(group, dict):
                raise self.error(f"{member} is no state of the optimiser of the configured model")
            for name, value in ours.items():
                theirs = group.get(name, value)  # versions of PyTorch differ in their options
                if name in KERNEL_OPTIONS and (theirs is None or isinstance(theirs, bool)):
                    continue  # does not change the result, so the configured value stays
                if name in ("lr", "initial_lr"):
                    if not _is_amount(theirs):
                        raise self.error(f"{member}: its learning rate is no number")
                    ours[name] = theirs
                elif not _same(theirs, value):
                    raise self.error(
                        f"{member}: option {name!r} is not {str(value)[:80]}, as in the configured model; "
                        "give the policy_kwargs (optimizer_kwargs) that it was trained with"
                    )
        parameters = [parameter for group in owner.param_groups for parameter in group["params"]]
        state: dict[int, dict[str, torch.Tensor]] = {}
        for index, entries in slots.items():
            if type(index) is not int or not 0 <= index < len(parameters) or not isinstance(entries, dict):
                raise self.error(f"{member} has a state for a parameter that the configured model has not")
            parameter = parameters[index]
            known = dict.fromkeys(SLOTS[: 3 if owner.defaults.get("amsgrad") else 2], parameter)
            self._check_keys(entries, {"step": None, **known}, member)
            step = entries["step"]
            # PyTorch before 1.12 stored a plain number
            step = (
                torch.tensor(float(step))
                if _is_amount(step)
                else self._tensor(step, torch.tensor(0.0), f"{member}, 'step'")
            )
            if float(step) < 0.0:
                raise self.error(f"{member}, 'step' is no number of steps")
            state[index] = {"step": step}
            for slot, like in known.items():
                state[index][slot] = self._tensor(entries[slot], like, f"{member}, {slot!r} of parameter {index}")
        return {"state": state, "param_groups": expected["param_groups"]}

    def variables(self, model: BaseAlgorithm, names: list[str]) -> dict[str, torch.Tensor]:
        """Tensors of the algorithm outside its policy, by name."""
        if not names and VARIABLES not in self.archive.namelist():
            return {}
        stored = self._tensors(VARIABLES)
        self._check_keys(stored, dict.fromkeys(names), VARIABLES)
        return {
            name: self._tensor(stored[name], recursive_getattr(model, name), f"{VARIABLES}, {name!r}") for name in names
        }

    def _check_keys(self, stored: Any, expected: Mapping[str, Any], what: str) -> None:
        if not isinstance(stored, dict):
            raise self.error(f"{what} is no table of tensors")
        if missing := sorted(set(expected) - set(stored)):
            raise self.error(f"{what} has no {missing[0]!r}, which the configured model has; {FIX}")
        if extra := sorted(map(str, set(stored) - set(expected))):
            raise self.error(f"{what} has {extra[0][:80]!r}, which the configured model has not; {FIX}")

    def _tensor(self, stored: Any, like: torch.Tensor, what: str) -> torch.Tensor:
        """The numbers, if they are finite and have the shape and type of the model's tensor."""
        if not isinstance(stored, StoredTensor):
            raise self.error(f"{what} is no tensor")
        if stored.shape != tuple(like.shape) or stored.dtype != like.dtype:
            raise self.error(
                f"{what} is {_described(stored.shape, stored.dtype)}, that of the configured model "
                f"{_described(like.shape, like.dtype)}; {FIX}"
            )
        try:
            value = stored.read()
        except TensorFileError as error:
            raise self.error(f"{what} {error}") from None
        if not bool(torch.isfinite(value).all()):
            raise self.error(f"{what} is not finite")
        return value


def _same(theirs: Any, ours: Any) -> bool:
    if isinstance(ours, (list, tuple)):
        return (
            isinstance(theirs, (list, tuple))
            and len(theirs) == len(ours)
            and all(_same(a, b) for a, b in zip(theirs, ours, strict=True))
        )
    plain = (bool, int, float, str, type(None))
    return type(theirs) in plain and bool(theirs == ours)


def _is_amount(value: Any) -> bool:
    # not isfinite: an integer may be too large for a float
    return type(value) in (int, float) and 0 <= value < 1e30


def _described(shape: tuple[int, ...] | torch.Size, dtype: torch.dtype) -> str:
    return f"{tuple(shape)} {dtype}".replace("torch.", "")
