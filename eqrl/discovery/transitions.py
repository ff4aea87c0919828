"""Logged transitions: one ``.npz`` file with documented arrays, and how to record one.

====================  =================  =============================================================================
array                 shape              meaning
====================  =================  =============================================================================
``observations``      ``(N, D)``         what was seen
``actions``           ``(N, A)``         what was done
``next_observations`` ``(N, D)``         what was seen next, before any reset
``rewards``           ``(N,)``           reward of the step
``terminated``        ``(N,)``           optional: whether the step ended the episode (not: whether time was up)
``names``             ``(K,)``           optional: names of candidates
``observation_maps``  ``(K, D, D)``      optional: what each candidate does to an observation, as a matrix
``action_maps``       ``(K, A, A)``      optional: what it does to an action
====================  =================  =============================================================================

The last three make a file complete where no environment with typed spaces is at hand. Dict observations are stacked in
sorted order of their keys.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from eqrl.arrays import Floats
from eqrl.discovery.candidates import LinearMap
from eqrl.errors import UsageError, suggestion
from eqrl.files.atomic import whole_file
from eqrl.proof.worlds import flatten
from eqrl.symmetry import UntypedSpaceError, representation_of

REQUIRED = ("observations", "actions", "next_observations", "rewards")
_MAPS = ("names", "observation_maps", "action_maps")


@dataclass(frozen=True, eq=False)
class Transitions:
    """Transitions of one environment; attributes are the arrays of the file.

    Attributes:
        observations: ``(N, D)``.
        actions: ``(N, A)``.
        next_observations: ``(N, D)``.
        rewards: ``(N,)``.
        terminated: ``(N,)``, bool; None if that was not logged.
        names: names of candidate maps, ``(K,)``; None for none.
        observation_maps: ``(K, D, D)``.
        action_maps: ``(K, A, A)``.
    """

    observations: Floats
    actions: Floats
    next_observations: Floats
    rewards: Floats
    terminated: NDArray[np.bool_] | None = None
    names: NDArray[np.str_] | None = None
    observation_maps: Floats | None = None
    action_maps: Floats | None = None

    def __post_init__(self) -> None:
        """Check shapes and numbers.

        Raises:
            UsageError: naming the array, its shape and the expected one.
        """
        for name in REQUIRED:
            array = np.asarray(getattr(self, name), dtype=np.float64)
            if name != "rewards" and array.ndim == 1:  # one number a row
                array = array[:, None]
            object.__setattr__(self, name, array)
        n, width = self.observations.shape[0], self.observations.shape[-1]
        k = 0 if self.names is None else len(self.names)
        expected = {
            "observations": (n, width),
            "actions": (n, self.actions.shape[-1]),
            "next_observations": (n, width),
            "rewards": (n,),
            "terminated": (n,),
            "observation_maps": (k, width, width),
            "action_maps": (k, self.actions.shape[-1], self.actions.shape[-1]),
        }
        for name, shape in expected.items():
            array = getattr(self, name)
            if array is not None and array.shape != shape:
                raise UsageError(f"array {name!r} has shape {array.shape}; expected {shape}")
            if array is not None and not np.isfinite(array).all():
                row = int(np.flatnonzero(~np.isfinite(array).reshape(n or 1, -1).all(1))[0])
                raise UsageError(f"array {name!r} has a number that is not finite in row {row}; leave the row out")
        given = [name for name in _MAPS if getattr(self, name) is not None]
        if 0 < len(given) < len(_MAPS):
            missing = next(name for name in _MAPS if name not in given)
            raise UsageError(f"array {missing!r} is missing; candidates need all of {', '.join(_MAPS)}")

    def __len__(self) -> int:
        """Number of transitions."""
        return len(self.rewards)

    @classmethod
    def read(cls, path: str | Path) -> Transitions:
        """Read a file. Nothing in it is executed.

        Raises:
            UsageError: one line that names the file and what is wrong with it.
        """
        known = [f.name for f in fields(cls)]
        try:
            file: Any = np.load(path, allow_pickle=False)
            if isinstance(file, np.ndarray):
                raise UsageError(f"file {path}: it holds one array; save several with numpy.savez(path, ...)")
            with file:
                there = list(file.files)
                for name in REQUIRED:
                    if name not in there:
                        others = [t for t in there if t not in known]
                        hint = suggestion(name, others) if others else f"it needs {', '.join(REQUIRED)}"
                        raise UsageError(f"file {path}: array {name!r} is missing; {hint}")
                arrays = {name: file[name] for name in known if name in there}
        except FileNotFoundError:
            raise UsageError(f"file {path}: there is no such file") from None
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise UsageError(f"file {path}: it is not an .npz file of plain arrays ({error})") from None
        if "terminated" in arrays:
            arrays["terminated"] = arrays["terminated"].astype(bool)
        for name, array in arrays.items():
            if name != "names" and not np.issubdtype(array.dtype, np.number) and array.dtype != np.bool_:
                raise UsageError(f"file {path}: array {name!r} holds {array.dtype}; give numbers")
        try:
            return cls(**arrays)
        except UsageError as error:
            raise UsageError(f"file {path}: {error}") from None

    def save(self, path: str | Path) -> None:
        """Write a file, all of it or nothing.

        Raises:
            UsageError: if its name does not end in ``.npz``.
        """
        if Path(path).suffix != ".npz":
            raise UsageError(f"file {path}: unknown kind {Path(path).suffix!r}; use .npz")
        arrays = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}
        content = io.BytesIO()
        np.savez_compressed(content, **arrays)
        with whole_file(Path(path)) as aside:
            aside.write_bytes(content.getvalue())


def record(
    env: gymnasium.Env[Any, Any],
    policy: Any = None,
    *,
    steps: int = 5_000,
    path: str | Path | None = None,
    seed: int = 0,
) -> Transitions:
    """Record transitions of an environment.

    Args:
        env: the environment, with actions of a ``Box``. If its spaces are typed, what they declare goes into the file.
        policy: anything with SB3's ``predict``; None for random actions, which cover more.
        steps: number of transitions.
        path: ``.npz`` file to write, None for none.
        seed: of resets and random actions.

    Returns:
        The transitions.

    Raises:
        UsageError: for actions that are not those of a Box, or a file of another kind.
    """
    if not isinstance(env.action_space, gymnasium.spaces.Box):
        raise UsageError(f"actions are {env.action_space}; only those of a Box can be transformed")
    env.action_space.seed(seed)
    rows: dict[str, list[Any]] = {name: [] for name in (*REQUIRED, "terminated")}
    observation, _ = env.reset(seed=seed)
    for _ in range(steps):
        action = env.action_space.sample() if policy is None else policy.predict(observation, deterministic=False)[0]
        following, reward, terminated, truncated, _ = env.step(action)
        row = (flatten(observation), np.ravel(action), flatten(following), float(reward), bool(terminated))
        for name, value in zip(rows, row, strict=True):
            rows[name].append(value)
        observation = env.reset()[0] if terminated or truncated else following
    logged = Transitions(**{name: np.array(values) for name, values in rows.items()}, **_declared(env))
    if path is not None:
        logged.save(path)
    return logged


def _declared(env: gymnasium.Env[Any, Any]) -> dict[str, Any]:
    """What typed spaces declare, as matrices."""
    try:
        spaces = representation_of(env.observation_space), representation_of(env.action_space)
    except UntypedSpaceError:
        return {}
    generators = spaces[0].group.generators
    if not generators:
        return {}
    maps = [LinearMap.of(*spaces, g) for _, g in generators]
    return {
        "names": np.array([name for name, _ in generators]),
        "observation_maps": np.stack([m.observation for m in maps]),
        "action_maps": np.stack([m.action for m in maps]),
    }
