"""Load the ``.zip`` files of Stable-Baselines3 without running the code in them.

Such an archive describes its model (classes, spaces, schedules) in pickled code, and ``PPO.load`` runs all of it. Here the model
is built from a configuration, and only numbers are taken from the archive: parameters, optimisers and counters. What the archive
claims is compared with the model before memory is spent on it.
"""

from __future__ import annotations

import json
import stat
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.save_util import recursive_getattr, recursive_setattr

from eqrl.checkpoint.parameters import KERNEL_OPTIONS
from eqrl.errors import UsageError
from eqrl.files.tensor_file import StoredTensor, TensorFileError, read_tensor_file
from eqrl.files.zip_members import ZIP_ERRORS, read_member
from eqrl.runs.algorithms import ALGORITHMS
from eqrl.runs.config import Config, read_config_file
from eqrl.runs.environments import make_env
from eqrl.runs.models import make_model
from eqrl.runs.resolution import resolve

_DATA, _VARIABLES = "data", "pytorch_variables.pth"
_ROOM: Mapping[str, int] = {_DATA: 2**22, "_stable_baselines3_version": 2**10, "system_info.txt": 2**16}
# what PyTorch writes around the numbers: for each tensor, and for each file
_ROOM_OF_TENSOR, _ROOM_OF_FILE = 2**10, 2**16
# a plain value that only this algorithm stores
_MARKS = {"ppo": "n_epochs", "sac": "target_entropy", "td3": "policy_delay"}
_FOREIGN = ("top_quantiles_to_drop_per_net", "quantile_coefficients")  # TQC calls itself neither
_COUNTERS = ("num_timesteps", "_n_updates", "_episode_num")
_FIX = "give the env, network and policy_kwargs that it was trained with"
_SLOTS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")


@overload
def load_archive(
    path: str | Path, config: Config | str | Path | None = ..., device: str | None = ..., *, trusted: Literal[False] = ...
) -> tuple[BaseAlgorithm, Config]: ...
@overload
def load_archive(
    path: str | Path, config: Config | str | Path | None = ..., device: str | None = ..., *, trusted: bool
) -> tuple[BaseAlgorithm, Config | None]: ...
def load_archive(
    path: str | Path, config: Config | str | Path | None = None, device: str | None = None, *, trusted: bool = False
) -> tuple[BaseAlgorithm, Config | None]:
    """Load the model in a ``.zip`` file that ``model.save`` of Stable-Baselines3 wrote.

    Args:
        path: the archive.
        config: the configuration that the model was trained with, or a file that holds it. The model is built from it as
            ``eqrl train --config`` builds it, preset included, and gets the archive's parameters, optimisers and counters.
        device: PyTorch device, the configuration's own by default.
        trusted: call Stable-Baselines3's own ``load``, **which runs code from the file**: whoever made it can do with this
            computer what you can. The model then is what the archive says, with an environment if ``config`` is given.

    Returns:
        The model, and the configuration with preset and defaults filled in; None without ``config``.

    Raises:
        UsageError: if neither ``config`` nor ``trusted`` is given, or the archive is broken, holds anything that does not
            belong there, or does not fit the configuration.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"{path} does not exist; give a .zip file that model.save of Stable-Baselines3 wrote")
    if config is None and not trusted:
        raise UsageError(
            f"{path} describes its model in pickled code, which is not run; give the configuration that it was trained with, "
            "config='run.yaml' (--config run.yaml), or, if you trust whoever made the file with this computer, trusted=True (--trusted)"
        )
    if config is not None and not isinstance(config, Config):
        config = Config.from_dict(read_config_file(config), str(config))
    config = None if config is None else resolve(config)
    if trusted:
        return _run_archive(path, config, device), config
    assert config is not None
    with warnings.catch_warnings():
        # SB3 warns that a rollout of one environment does not fill a minibatch, but nothing is trained here
        warnings.filterwarnings("ignore", message="You have specified a mini-batch size")
        model = make_model(config.replace(device=device or config.device), make_env(config, 1, config.seed))
    _Archive(path).fill(model, config)
    return model, config


def _run_archive(path: Path, config: Config | None, device: str | None) -> BaseAlgorithm:
    """Stable-Baselines3's own ``load``: this runs code from the file."""
    if config is None:
        with _opened(path) as archive:
            algo = _algorithm(_plain_values(path, archive))
        if algo is None:
            raise UsageError(
                f"{path} was not written by {', '.join(ALGORITHMS)}; load it with the class of Stable-Baselines3 that wrote it"
            )
    else:
        algo = config.algo
    env = None if config is None else make_env(config, 1, config.seed)
    try:
        model: BaseAlgorithm = ALGORITHMS[algo].load(path, env=env, device=device or (config.device if config else "auto"))
    except Exception as error:  # the file's own code may raise anything
        raise UsageError(
            f"{path} cannot be loaded by Stable-Baselines3: {type(error).__name__}: {str(error)[:400]}"
        ) from error
    return model


@dataclass(frozen=True)
class _Archive:
    path: Path

    def fill(self, model: BaseAlgorithm, config: Config) -> None:
        """Put the numbers of the archive into the model, which stays as it is if any of them does not fit."""
        names, variables = model._get_torch_save_params()
        room = {f"{name}.pth": _room(recursive_getattr(model, name)) for name in names}
        room[_VARIABLES] = _ROOM_OF_FILE + 2 * _ROOM_OF_TENSOR * len(variables)
        needed = {_DATA, *(f"{name}.pth" for name in names), *([_VARIABLES] if variables else [])}
        most = sum({**_ROOM, **room}.values()) + _ROOM_OF_FILE
        if (size := self.path.stat().st_size) > most:  # its table of contents alone might not fit into memory
            raise self.error(f"it has {size} bytes, and the configured model needs at most {most}; {_FIX}")
        with _opened(self.path) as archive:
            plain = _plain_values(self.path, archive)
            self.check_data(plain, model, config)  # before its members, which differ between algorithms
            _check_members(self.path, archive, {**_ROOM, **room}, needed)
            counters = self.counters(plain)
            states: dict[str, Any] = {
                name: self.state(archive, f"{name}.pth", recursive_getattr(model, name)) for name in names
            }
            values = self.variables(archive, model, variables)
        model.set_parameters(states, exact_match=True, device=model.device)
        for name, value in values.items():
            # in place, because SAC's optimiser holds the very tensor
            recursive_setattr(model, f"{name}.data", value.to(model.device))
        for name, number in counters.items():
            setattr(model, name, number)

    def error(self, text: str) -> UsageError:
        return UsageError(f"{self.path} is not loaded: {text}")

    # ------------------------------------------------------------------ plain values
    def check_data(self, plain: Mapping[str, Any], model: BaseAlgorithm, config: Config) -> None:
        """Compare what the archive says in plain words with the configured model."""
        algo = _algorithm(plain)
        if algo != config.algo:
            written = algo or f"another algorithm than {', '.join(ALGORITHMS)}"
            raise self.error(f"it was written by {written}, and the configuration says algo: {config.algo}")
        entry, space = plain.get("action_space"), model.action_space
        if isinstance(entry, Mapping) and isinstance(space, spaces.Box):
            for name, ours in (("low", space.low), ("high", space.high)):
                theirs = _numbers(entry.get(name))
                # other bounds would scale the actions of the same network differently
                if theirs is not None and theirs.size == ours.size and not np.allclose(theirs, ours.ravel(), rtol=1e-5):
                    raise self.error(
                        f"its actions have another bound ({name}) than those of {config.env}; "
                        "give the env and env_kwargs that it was trained with"
                    )

    def counters(self, plain: Mapping[str, Any]) -> dict[str, int | float]:
        found: dict[str, int | float] = {}
        for name in _COUNTERS:
            if name in plain:
                value = plain[name]
                if type(value) is not int or not 0 <= value < 2**63:
                    raise self.error(f"its {name} is no number of steps")
                found[name] = value
        progress = plain.get("_current_progress_remaining", 1.0)
        if type(progress) not in (int, float) or not -1e9 < progress <= 1.0:
            raise self.error("its _current_progress_remaining is no number up to 1")
        if "num_timesteps" not in found:
            raise self.error("its 'data' has no num_timesteps, so Stable-Baselines3 did not write it")
        return {**found, "_current_progress_remaining": float(progress)}

    # ------------------------------------------------------------------ numbers
    def tensors(self, archive: zipfile.ZipFile, member: str) -> Any:
        try:
            return read_tensor_file(read_member(archive, archive.getinfo(member)))
        except TensorFileError as error:
            raise self.error(f"{member} {error}") from None
        except ZIP_ERRORS as error:
            raise self.error(f"{member} is damaged: {str(error)[:200]}") from None

    def state(self, archive: zipfile.ZipFile, member: str, owner: Any) -> dict[str, Any]:
        """A state dict for the module or optimiser."""
        stored = self.tensors(archive, member)
        own: dict[str, Any] = owner.state_dict()
        if isinstance(owner, torch.optim.Optimizer):
            return self.optimizer(stored, owner, own, member)
        self.check_keys(stored, own, member)
        for name, tensor in own.items():
            # into the model's own dict, which has the versions of its modules with it
            own[name] = self.tensor(stored[name], tensor, f"{member}, {name!r}")
        return own

    def optimizer(self, stored: Any, owner: torch.optim.Optimizer, own: dict[str, Any], member: str) -> dict[str, Any]:
        self.check_keys(stored, own, member)
        groups, slots = stored["param_groups"], stored["state"]
        if not isinstance(groups, list) or len(groups) != len(own["param_groups"]) or not isinstance(slots, dict):
            raise self.error(f"{member} is no state of the optimiser of the configured model")
        for group, ours in zip(groups, own["param_groups"], strict=True):
            if not isinstance(group, dict):
                raise self.error(f"{member} is no state of the optimiser of the configured model")
            for name, value in ours.items():
                theirs = group.get(name, value)  # other versions of PyTorch have other options
                if name in KERNEL_OPTIONS and (theirs is None or isinstance(theirs, bool)):
                    continue  # that is not what is computed, and ours stays
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
            known = dict.fromkeys(_SLOTS[: 3 if owner.defaults.get("amsgrad") else 2], parameter)
            self.check_keys(entries, {"step": None, **known}, member)
            step = entries["step"]
            # PyTorch before 1.12 stored a plain number
            step = torch.tensor(float(step)) if _is_amount(step) else self.tensor(step, torch.tensor(0.0), f"{member}, 'step'")
            if float(step) < 0.0:
                raise self.error(f"{member}, 'step' is no number of steps")
            state[index] = {"step": step}
            for slot, like in known.items():
                state[index][slot] = self.tensor(entries[slot], like, f"{member}, {slot!r} of parameter {index}")
        return {"state": state, "param_groups": own["param_groups"]}

    def variables(self, archive: zipfile.ZipFile, model: BaseAlgorithm, names: list[str]) -> dict[str, torch.Tensor]:
        if not names and _VARIABLES not in archive.namelist():
            return {}
        stored = self.tensors(archive, _VARIABLES)
        self.check_keys(stored, dict.fromkeys(names), _VARIABLES)
        return {name: self.tensor(stored[name], recursive_getattr(model, name), f"{_VARIABLES}, {name!r}") for name in names}

    def check_keys(self, stored: Any, own: Mapping[str, Any], what: str) -> None:
        if not isinstance(stored, dict):
            raise self.error(f"{what} is no table of tensors")
        if missing := sorted(set(own) - set(stored)):
            raise self.error(f"{what} has no {missing[0]!r}, which the configured model has; {_FIX}")
        if extra := sorted(map(str, set(stored) - set(own))):
            raise self.error(f"{what} has {extra[0][:80]!r}, which the configured model has not; {_FIX}")

    def tensor(self, stored: Any, like: torch.Tensor, what: str) -> torch.Tensor:
        """The numbers, if they have the shape and type of the model's and are finite."""
        if not isinstance(stored, StoredTensor):
            raise self.error(f"{what} is no tensor")
        if stored.shape != tuple(like.shape) or stored.dtype != like.dtype:
            raise self.error(
                f"{what} is {_described(stored.shape, stored.dtype)}, that of the configured model "
                f"{_described(like.shape, like.dtype)}; {_FIX}"
            )
        try:
            value = stored.read()
        except TensorFileError as error:
            raise self.error(f"{what} {error}") from None
        if not bool(torch.isfinite(value).all()):
            raise self.error(f"{what} is not finite")
        return value


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(path)
    except ZIP_ERRORS as error:
        raise UsageError(f"{path} is not loaded: it is no zip archive, or is cut off or damaged: {str(error)[:200]}") from None
    with archive:
        yield archive


def _check_members(path: Path, archive: zipfile.ZipFile, room: Mapping[str, int], needed: set[str]) -> None:
    """Refuse whatever the model does not need, by the archive's table of contents alone."""
    seen: set[str] = set()
    for info in archive.infolist():
        name = info.orig_filename  # Python's own attribute ends at a zero byte
        what = f"{path} is not loaded: its member {name[:80]!r}"
        if name not in room:
            raise UsageError(f"{what} does not belong to the configured model, which has {', '.join(sorted(needed))}")
        if name in seen:
            raise UsageError(f"{what} is there twice")
        seen.add(name)
        mode = info.external_attr >> 16
        if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            raise UsageError(f"{what} is a link or something else that is no file")
        if info.flag_bits & 0x1:
            raise UsageError(f"{what} is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UsageError(f"{what} is compressed in a way that Stable-Baselines3 does not use")
        if info.file_size > room[name]:
            raise UsageError(
                f"{what} would take {info.file_size} bytes, and the configured model needs at most {room[name]}; {_FIX}"
            )
    if missing := sorted(needed - seen):
        raise UsageError(
            f"{path} is not loaded: it has no member {missing[0]!r}, which the configured model needs; "
            "give the algo and hyperparams that it was trained with"
        )


def _plain_values(path: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    """The plain values in ``data``; those that are pickled stay the text that they are."""
    try:
        if archive.getinfo(_DATA).file_size > _ROOM[_DATA]:
            raise UsageError(f"{path} is not loaded: its member 'data' has more than {_ROOM[_DATA]} bytes")
        values = json.loads(read_member(archive, archive.getinfo(_DATA)).decode("utf-8"))
    except KeyError:
        raise UsageError(f"{path} is not loaded: it has no member 'data', so model.save did not write it") from None
    except (*ZIP_ERRORS, RecursionError) as error:
        raise UsageError(f"{path} is not loaded: its member 'data' is broken: {str(error)[:200]}") from None
    if not isinstance(values, dict):
        raise UsageError(f"{path} is not loaded: its member 'data' is no table")
    return values


def _algorithm(plain: Mapping[str, Any]) -> str | None:
    """Which algorithm wrote the values, by those that only it has; None if it is none of ours."""
    found = [algo for algo, mark in _MARKS.items() if mark in plain]
    return found[0] if len(found) == 1 and not any(mark in plain for mark in _FOREIGN) else None


def _numbers(text: Any) -> NDArray[np.float64] | None:
    """An array as NumPy prints it, which Stable-Baselines3 stores beside the pickled space; None if it is anything else."""
    if not isinstance(text, str):
        return None
    try:
        return np.array([float(word) for word in text.replace("[", " ").replace("]", " ").split()])
    except ValueError:
        return None


def _room(owner: Any) -> int:
    """Bytes that a file with the state of a module or optimiser may have."""
    if isinstance(owner, torch.optim.Optimizer):
        parameters = [parameter for group in owner.param_groups for parameter in group["params"]]
        # one number for the steps, and two or three tensors like the parameter
        sizes = [len(_SLOTS) * int(p.nbytes) + (1 + len(_SLOTS)) * _ROOM_OF_TENSOR for p in parameters]
    else:
        # a view brings the whole storage with it
        sizes = [int(t.untyped_storage().nbytes()) + _ROOM_OF_TENSOR for t in owner.state_dict().values()]
    return _ROOM_OF_FILE + sum(sizes)


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
    # no isfinite: a whole number may be too long for a float
    return type(value) in (int, float) and 0 <= value < 1e30


def _described(shape: tuple[int, ...] | torch.Size, dtype: torch.dtype) -> str:
    return f"{tuple(shape)} {dtype}".replace("torch.", "")
