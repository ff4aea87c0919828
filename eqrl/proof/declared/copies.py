"""A copy of an environment with a simulation of its own, wherever the environment holds it.

Most environments keep ``model`` and ``data`` as plain attributes. Others wrap a second environment and show its
simulation through read-only properties, or hold a ``sim`` or ``physics`` object. So everything that an instance holds
is copied once, references among the copies are kept, and every reference to the simulation becomes one to its copy.
"""

from __future__ import annotations

import copy
import inspect
import re
import sys
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import gymnasium
import mujoco
import numpy as np

from eqrl.symmetry.errors import DeclarationError

# of these packages an instance is shared, not copied
_OPAQUE = (sys.stdlib_module_names | {"numpy", "torch", "mujoco", "glfw", "OpenGL", "yaml", "scipy"}) - {"__main__"}
_SHARED = (type, types.ModuleType, gymnasium.Space, gymnasium.envs.registration.EnvSpec)
_VIEWS = re.compile(r"_Mj(Data|Model)(\w+)Views")
_MOST = 20_000  # things that are looked at


def simulation_of(env: gymnasium.Env[Any, Any]) -> mujoco.MjData | None:
    """The simulation of an unwrapped environment: its ``data``, or the only one that it holds; None if there is none.

    Raises:
        DeclarationError: if it holds several, and does not say which one is its own.
    """
    if isinstance(shown := getattr(env, "data", None), mujoco.MjData):
        return shown
    held = {id(x): (path, x) for path, x in _walk(env) if isinstance(x, mujoco.MjData)}
    if len(held) > 1:
        raise DeclarationError(
            f"{type(env).__name__} holds {len(held)} MuJoCo simulations"
            f" ({', '.join(path for path, _ in held.values())}) and has no attribute `data`; give it properties `model`"
            " and `data` that show the one to try symmetries on"
        )
    return next((x for _, x in held.values()), None)


def copy_environment(
    env: gymnasium.Env[Any, Any], model: mujoco.MjModel | None = None
) -> tuple[gymnasium.Env[Any, Any], mujoco.MjData | None]:
    """A copy that shares nothing that changes with the environment, and its simulation, None without one.

    Args:
        env: an environment, with or without wrappers.
        model: what the copy simulates instead of a copy of the environment's model.

    The copy has random numbers of its own and does not render. It is not made with ``deepcopy``: Gymnasium's
    environments rebuild themselves from their arguments there, and would forget a changed model.

    Raises:
        DeclarationError: if the simulation cannot be copied along.
    """
    data = simulation_of(env.unwrapped)
    copier = _Copier(
        (x for _, x in _walk(env)), {id(data.model): model} if data is not None and model is not None else {}
    )
    twin = copier.copy(env)
    if data is None:
        return twin, None
    if id(data) not in copier.copies:
        raise DeclarationError(
            f"`data` of {type(env.unwrapped).__name__} is not held by the environment itself but by its class or"
            " module, so that symmetries cannot be tried on a copy; keep model and data in attributes of the instance,"
            " or declare the fields: with_symmetry(env, observation=[Field(...), ...], action=[...], group=...)"
        )
    return twin, copier.copies[id(data)]


def _walk(root: Any) -> Iterator[tuple[str, Any]]:
    """Everything that an object holds, with its path, itself included; what lies nearest comes first."""
    seen: set[int] = set()
    waiting = [("env", root)]
    while waiting and len(seen) < _MOST:
        path, x = waiting.pop(0)
        if id(x) in seen:
            continue
        seen.add(id(x))
        yield path, x
        waiting += [(path + step, inner) for step, inner in _held(x) if not isinstance(inner, _ATOMS)]


_ATOMS = (str, bytes, bool, int, float, complex, type(None))


def _held(x: Any) -> list[tuple[str, Any]]:
    if isinstance(x, mujoco.MjData):
        return [(".model", x.model)]
    if isinstance(x, dict):
        return [(f"[{key!r}]", value) for key, value in x.items()]
    if isinstance(x, list | tuple | deque):
        return [(f"[{i}]", value) for i, value in enumerate(x)]
    if isinstance(x, types.MethodType):
        return [("", x.__self__)]
    if isinstance(x, partial):
        return [("", part) for part in (x.func, *x.args, *x.keywords.values())]
    if isinstance(x, types.FunctionType):
        return [("", cell.cell_contents) for cell in x.__closure__ or () if _filled(cell)]
    return [(f".{name}", value) for name, value in _attributes(x).items()] if _is_plain(x) else []


def _is_plain(x: Any) -> bool:
    """Whether an object is no more than its attributes."""
    kind = type(x)
    if isinstance(x, types.SimpleNamespace):
        return True
    return not (
        isinstance(x, _SHARED)
        or kind.__module__.partition(".")[0] in _OPAQUE
        or hasattr(kind, "__del__")
        or not _is_written_in_python(kind)
    )


def _is_written_in_python(kind: type) -> bool:
    """Whether instances hold nothing that Python does not see: none of their classes is written in C."""
    return all(base is object or base.__flags__ & (1 << 9) for base in kind.__mro__)  # Py_TPFLAGS_HEAPTYPE


def _attributes(x: Any) -> dict[str, Any]:
    slots = [
        name
        for kind in type(x).__mro__
        for name, member in vars(kind).items()
        if inspect.ismemberdescriptor(member) and name != "__dict__"
    ]
    return {**{name: getattr(x, name) for name in slots if hasattr(x, name)}, **getattr(x, "__dict__", {})}


def _filled(cell: types.CellType) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


class _Copier:
    def __init__(self, everything: Iterator[Any], given: Mapping[int, Any]) -> None:
        self.copies: dict[int, Any] = dict(given)
        self._originals = [
            x for x in everything if isinstance(x, mujoco.MjModel | mujoco.MjData)
        ]  # alive, so ids are theirs
        for model in self._originals:
            if isinstance(model, mujoco.MjModel) and id(model) not in given:
                self.copies[id(model)] = copy.copy(model)
        for data in self._originals:
            if isinstance(data, mujoco.MjData):
                model = self.copies[id(data.model)]
                self.copies[id(data)] = mujoco.MjData(model)
                mujoco.mj_copyData(self.copies[id(data)], model, data)

    def copy(self, x: Any) -> Any:
        if isinstance(x, _ATOMS) or id(x) in self.copies:
            return self.copies.get(id(x), x)
        if (made := self._copy(x)) is not x:
            self.copies[id(x)] = made
        return made

    def _copy(self, x: Any) -> Any:
        if isinstance(x, np.ndarray):
            return self._array(x)
        if isinstance(x, np.random.Generator | np.random.RandomState):
            return copy.deepcopy(x)
        if isinstance(x, tuple):
            parts = [self.copy(part) for part in x]
            same = all(a is b for a, b in zip(parts, x, strict=True))
            return x if same else type(x)(*parts) if hasattr(x, "_fields") else type(x)(parts)
        if isinstance(x, dict | list | deque):
            return self._container(x)
        if isinstance(x, set):
            return copy.copy(x)
        if isinstance(x, types.MethodType):
            return types.MethodType(x.__func__, self.copy(x.__self__))
        if isinstance(x, partial):
            return partial(
                self.copy(x.func), *map(self.copy, x.args), **{k: self.copy(v) for k, v in x.keywords.items()}
            )
        if isinstance(x, types.FunctionType):
            return self._function(x)
        if match := _VIEWS.fullmatch(type(x).__name__):
            return self._view(x, *match.groups())
        if not _is_plain(x):
            return x
        made = object.__new__(type(x)) if not isinstance(x, types.SimpleNamespace) else types.SimpleNamespace()
        self.copies[id(x)] = made  # before its attributes, which may refer to it
        for name, value in _attributes(x).items():
            object.__setattr__(made, name, self.copy(value))  # past frozen dataclasses
        if isinstance(made, gymnasium.Env):
            _without_randomness(made)
        return made

    def _container(self, x: Any) -> Any:
        made = copy.copy(x)
        self.copies[id(x)] = made
        made.clear()
        if isinstance(x, dict):
            made.update({key: self.copy(value) for key, value in x.items()})
        else:
            made.extend(self.copy(value) for value in x)
        return made

    def _function(self, x: types.FunctionType) -> Any:
        if not any(_filled(cell) for cell in x.__closure__ or ()):
            return x
        self.copies[id(x)] = x  # a closure that holds itself
        cells = [types.CellType(self.copy(c.cell_contents)) if _filled(c) else c for c in x.__closure__ or ()]
        made = types.FunctionType(x.__code__, x.__globals__, x.__name__, x.__defaults__, tuple(cells))
        made.__kwdefaults__ = x.__kwdefaults__
        return made

    def _array(self, x: np.ndarray[Any, Any]) -> Any:
        """A copy, or where an array is a window on the simulation the same window on its copy."""
        if (window := window_on(self._originals, x)) is None:
            return x.copy()
        original, name, offset = window
        memory = getattr(self.copies[id(original)], name)
        return np.ndarray(x.shape, x.dtype, memory.data.cast("B"), offset, x.strides)

    def _view(self, x: Any, owner: str, kind: str) -> Any:
        """Named access such as ``data.body("torso")``; its owner is known only where there is a single simulation."""
        wanted = mujoco.MjData if owner == "Data" else mujoco.MjModel
        owners = [self.copies[id(o)] for o in self._originals if isinstance(o, wanted)]
        return getattr(owners[0], kind.lower())(x.id) if len(owners) == 1 else x


def window_on(simulations: Iterable[Any], x: np.ndarray[Any, Any]) -> tuple[Any, str, int] | None:
    """The model or data of which an array is a window, the field's name and the offset in bytes; None if it is none."""
    start = x.__array_interface__["data"][0]
    for simulation in simulations if x.base is not None else ():
        for name in _array_names(simulation):
            field = getattr(simulation, name)
            first = field.__array_interface__["data"][0]
            if field.nbytes and first <= start < first + field.nbytes:
                return simulation, name, start - first
    return None


def variables_of(env: gymnasium.Env[Any, Any], simulations: Iterable[Any]) -> list[tuple[str, Any, str]]:
    """Numbers that an environment and what it holds keep outside of the simulation: path, holder and name of each."""
    simulations = list(simulations)
    return [
        (f"{path}.{name}", holder, name)
        for path, holder in _walk(env)
        if _is_plain(holder)
        for name, value in _attributes(holder).items()
        if isinstance(value, bool | int | float)
        or (isinstance(value, np.ndarray) and value.dtype.kind in "bif" and window_on(simulations, value) is None)
    ]


def _array_names(x: Any) -> list[str]:
    return [name for name in dir(x) if not name.startswith("_") and isinstance(_quietly(x, name), np.ndarray)]


def _quietly(x: Any, name: str) -> Any:
    try:
        return getattr(x, name)
    except Exception:  # fields that need something else of MuJoCo first
        return None


def _without_randomness(env: Any) -> None:
    env.__dict__["_np_random"], env.__dict__["_np_random_seed"] = None, None
    if "render_mode" in env.__dict__ or not isinstance(getattr(type(env), "render_mode", None), property):
        env.render_mode = None


def without_arguments(function: Callable[..., Any] | None) -> bool:
    """Whether a function can be called without arguments."""
    if not callable(function):
        return False
    try:
        inspect.signature(function).bind()
    except (TypeError, ValueError):
        return False
    return True
