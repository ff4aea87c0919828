"""Load the ``.zip`` files of Stable-Baselines3 without running the code in them.

Such an archive describes its model (classes, spaces, schedules) in pickled code, and ``PPO.load`` runs all of it. Here
the model is built from a configuration, and only numbers are taken from the archive: parameters, optimisers and
counters. The sizes that the archive claims are compared with the model before any memory is allocated.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.save_util import recursive_getattr, recursive_setattr

from eqrl.errors import UsageError
from eqrl.loading.archive_members import (
    DATA,
    FILE_OVERHEAD,
    FIX,
    SIZE_LIMITS,
    TENSOR_OVERHEAD,
    VARIABLES,
    algorithm_of,
    check_members,
    opened,
    plain_values,
    size_limit_of,
)
from eqrl.loading.archive_states import States
from eqrl.runs.algorithms import ALGORITHMS
from eqrl.runs.config import Config, read_config_file
from eqrl.runs.environments import make_env
from eqrl.runs.models import make_model
from eqrl.runs.resolution import resolve

_COUNTERS = ("num_timesteps", "_n_updates", "_episode_num")


@overload
def load_archive(
    path: str | Path,
    config: Config | str | Path | None = ...,
    device: str | None = ...,
    *,
    trusted: Literal[False] = ...,
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
        config: the configuration that the model was trained with, or a file that holds it. The model is built from it
            as ``eqrl train --config`` builds it, preset included, and gets the archive's parameters, optimisers and
            counters.
        device: PyTorch device; by default that of the configuration.
        trusted: call ``load`` of Stable-Baselines3, **which runs code from the file**: its author can do with this
            computer what you can. The model is then the one in the archive, with an environment if ``config`` is given.

    Returns:
        The model, and the configuration with preset and defaults filled in; None without ``config``.

    Raises:
        UsageError: if neither ``config`` nor ``trusted`` is given, or if the archive is broken, holds anything that
            does not belong there, or does not fit the configuration.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"{path} does not exist; give a .zip file that model.save of Stable-Baselines3 wrote")
    if config is None and not trusted:
        raise UsageError(
            f"{path} describes its model in pickled code, which is not run; give the configuration that it was trained"
            " with, config='run.yaml' (--config run.yaml), or, if you trust whoever made the file with this computer,"
            " trusted=True (--trusted)"
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
    """Call ``load`` of Stable-Baselines3: this runs code from the file."""
    if config is None:
        with opened(path) as archive:
            algo = algorithm_of(plain_values(path, archive))
        if algo is None:
            raise UsageError(
                f"{path} was not written by {', '.join(ALGORITHMS)}; load it with the class of Stable-Baselines3 that"
                " wrote it"
            )
    else:
        algo = config.algo
    env = None if config is None else make_env(config, 1, config.seed)
    try:
        model: BaseAlgorithm = ALGORITHMS[algo].load(
            path, env=env, device=device or (config.device if config else "auto")
        )
    except Exception as error:  # the code in the file may raise anything
        raise UsageError(
            f"{path} cannot be loaded by Stable-Baselines3: {type(error).__name__}: {str(error)[:400]}"
        ) from error
    return model


@dataclass(frozen=True)
class _Archive:
    path: Path

    def fill(self, model: BaseAlgorithm, config: Config) -> None:
        """Put the numbers of the archive into the model; if one does not fit, the model is unchanged."""
        names, variables = model._get_torch_save_params()
        size_limits = {f"{name}.pth": size_limit_of(recursive_getattr(model, name)) for name in names}
        size_limits[VARIABLES] = FILE_OVERHEAD + 2 * TENSOR_OVERHEAD * len(variables)
        needed = {DATA, *(f"{name}.pth" for name in names), *([VARIABLES] if variables else [])}
        most = sum({**SIZE_LIMITS, **size_limits}.values()) + FILE_OVERHEAD
        if (size := self.path.stat().st_size) > most:  # its table of contents alone might exhaust the memory
            raise self.error(f"it has {size} bytes, and the configured model needs at most {most}; {FIX}")
        with opened(self.path) as archive:
            plain = plain_values(self.path, archive)
            self.check_data(plain, model, config)  # before the members, which differ between algorithms
            check_members(self.path, archive, {**SIZE_LIMITS, **size_limits}, needed)
            counters = self.counters(plain)
            stored = States(self.path, archive)
            states: dict[str, Any] = {
                name: stored.state(f"{name}.pth", recursive_getattr(model, name)) for name in names
            }
            values = stored.variables(model, variables)
        model.set_parameters(states, exact_match=True, device=model.device)
        for name, value in values.items():
            # in place, because SAC's optimiser holds this tensor
            recursive_setattr(model, f"{name}.data", value.to(model.device))
        for name, number in counters.items():
            setattr(model, name, number)

    def error(self, text: str) -> UsageError:
        return UsageError(f"{self.path} is not loaded: {text}")

    def check_data(self, plain: Mapping[str, Any], model: BaseAlgorithm, config: Config) -> None:
        """Compare the plain values of the archive with the configured model."""
        algo = algorithm_of(plain)
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
        counters: dict[str, int | float] = {}
        for name in _COUNTERS:
            if name in plain:
                value = plain[name]
                if type(value) is not int or not 0 <= value < 2**63:
                    raise self.error(f"its {name} is no number of steps")
                counters[name] = value
        progress = plain.get("_current_progress_remaining", 1.0)
        if type(progress) not in (int, float) or not -1e9 < progress <= 1.0:
            raise self.error("its _current_progress_remaining is no number up to 1")
        if "num_timesteps" not in counters:
            raise self.error("its 'data' has no num_timesteps, so Stable-Baselines3 did not write it")
        return {**counters, "_current_progress_remaining": float(progress)}


def _numbers(text: Any) -> NDArray[np.float64] | None:
    """Read an array as NumPy prints it, which Stable-Baselines3 stores beside the pickled space.

    None for anything else.
    """
    if not isinstance(text, str):
        return None
    try:
        return np.array([float(word) for word in text.replace("[", " ").replace("]", " ").split()])
    except ValueError:
        return None
