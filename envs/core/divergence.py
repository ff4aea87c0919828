"""Simulations that diverge: MuJoCo only counts a warning, and by default silently puts them back to their first state.

Who simulates asks after every step, and either stops with the numbers that led there, or ends the episode of the
diverged simulation alone.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Literal, SupportsFloat

import gymnasium
import mujoco
import numpy as np
from mujoco.batch import Batch
from numpy.typing import ArrayLike, NDArray

from eqrl.errors import UsageError

OnDivergence = Literal["stop", "reset"]

_BAD = slice(int(mujoco.mjtWarning.mjWARN_BADQPOS), int(mujoco.mjtWarning.mjWARN_BADQACC) + 1)
_HUGE = 1e10  # MuJoCo's own bound of sane positions and velocities (mjMAXVAL)
_STATE = mujoco.mjtState.mjSTATE_INTEGRATION


class DivergenceError(UsageError):
    """The physics of some simulations diverged.

    Args:
        members: indices of the diverged simulations.
        time: seconds of simulated time at which their last step began, one a member.
        state: MuJoCo's integration state before that step, one row a member.
        action: the actions of that step, one row a member.
        names: where a fleet's robots have names, those of the members.
    """

    def __init__(
        self,
        members: Sequence[int],
        time: Sequence[float],
        state: ArrayLike,
        action: ArrayLike,
        names: Sequence[str] = (),
    ) -> None:
        self.members = tuple(members)
        self.time = tuple(time)
        self.state: NDArray[np.float64] = np.array(state, dtype=np.float64)
        self.action: NDArray[np.float64] = np.array(action, dtype=np.float64)
        self.names = tuple(names)
        super().__init__(
            f"the physics diverged ({self.where}); make its actions "
            "or contacts milder or its timestep smaller, or give up such episodes alone with on_divergence 'reset'"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # exceptions are rebuilt from their message otherwise, in the parent of SB3's SubprocVecEnv
        return (type(self), (self.members, self.time, self.state, self.action, self.names))

    @property
    def where(self) -> str:
        """Who diverged and when, in words."""
        name = f" {self.names[0]!r}" if self.names else ""
        others = f" and {len(self.members) - 1} more" if len(self.members) > 1 else ""
        return f"member {self.members[0]}{name}{others}, {self.time[0]:.3g} s after its reset"

    @classmethod
    def joined(cls, errors: Sequence[DivergenceError]) -> DivergenceError:
        """One error for several batches of one step; states of different sizes are padded with NaN."""
        members, time, action, names = (
            [x for e in errors for x in getattr(e, part)] for part in ("members", "time", "action", "names")
        )
        return cls(members, time, padded([e.state for e in errors]), action, names)


def padded(states: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Arrays ``(n, size)`` of different sizes as one, with NaN behind the shorter rows."""
    widest = max(rows.shape[1] for rows in states)
    fill = [np.pad(rows, ((0, 0), (0, widest - rows.shape[1])), constant_values=np.nan) for rows in states]
    return np.concatenate(fill)


def check_on_divergence(value: str) -> OnDivergence:
    """Refuse what is not a way to treat a diverged simulation.

    Raises:
        ValueError: naming the two ways.
    """
    if value not in ("stop", "reset"):
        raise ValueError(f"on_divergence={value!r} is not known; use 'stop' or 'reset'")
    return value  # type: ignore[return-value]


class BatchWatch:
    """Tells which simulations of a batch diverge in a step.

    Attributes:
        before: integration states before the step, ``(n, size)``.
    """

    def __init__(self, batch: Batch) -> None:
        self._state = batch.state
        self._counts = batch.warning[:, _BAD, 1]
        # time, positions and velocities; not controls, which an action may spoil without any harm to the physics
        self._physics = self._state[:, : 1 + batch.model.nq + batch.model.nv]
        self.before: NDArray[np.float64] = self._state.copy()
        self._counted = self._counts.copy()

    def remember(self) -> None:
        """Before a step: keep the states and the counters."""
        np.copyto(self.before, self._state)
        np.copyto(self._counted, self._counts)

    def diverged(self) -> NDArray[np.bool_] | None:
        """After a step: which simulations diverged, shape ``(n,)``, or None for none."""
        # comparisons with NaN are false; MuJoCo looks at the outcome of the last substep only in the next step
        sane = self._physics.max() < _HUGE and self._physics.min() > -_HUGE
        if sane and not np.count_nonzero(self._counts):
            return None
        diverged: NDArray[np.bool_] = (self._counts > self._counted).any(1) | ~(np.abs(self._physics) < _HUGE).all(1)
        return diverged if diverged.any() else None

    def error(
        self, diverged: NDArray[np.bool_], action: NDArray[np.float64], first: int = 0, name: str = ""
    ) -> DivergenceError:
        """What to raise for them.

        Args:
            diverged: which simulations, shape ``(n,)``.
            action: of all, ``(n, dim)``.
            first: index of the batch's first simulation among all environments.
            name: of the batch, where it is one of several.
        """
        ids = np.flatnonzero(diverged)
        members, names = (first + ids).tolist(), [name] * len(ids) if name else []
        return DivergenceError(members, self.before[ids, 0].tolist(), self.before[ids], action[ids], names)


class WatchDivergence(gymnasium.Wrapper[Any, Any, Any, Any]):
    """The same for one environment that steps a ``MjData``, such as Gymnasium's own.

    With ``"reset"`` a diverged step returns the last good observation, reward 0, ``truncated`` and
    ``info["diverged"]``; whatever MuJoCo reset in the meantime never shows.

    Args:
        env: its ``unwrapped`` has the simulation as ``data`` and the model as ``model``.
        on_divergence: what to do.
        member: its index among the environments that are stepped together, for the message.

    Attributes:
        divergences: how many episodes were given up.
        state_before: MuJoCo's integration state before the last step.

    Raises:
        ValueError: if ``on_divergence`` is unknown.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], on_divergence: str = "stop", member: int = 0) -> None:
        super().__init__(env)
        self.on_divergence = check_on_divergence(on_divergence)
        self.member = member
        self.divergences = 0
        bare: Any = env.unwrapped
        self._bare = bare
        self._last: Any = None
        self.state_before: NDArray[np.float64] = np.zeros(mujoco.mj_stateSize(bare.model, _STATE))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode."""
        self._last, info = self.env.reset(seed=seed, options=options)
        return self._last, info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Advance, and look at the physics.

        Raises:
            DivergenceError: if it diverged and ``on_divergence`` is ``"stop"``.
        """
        data = self._bare.data
        # MuJoCo's automatic reset also puts the counters back, to one, so that only zero before tells of a rise after
        data.warning.number[_BAD] = 0
        mujoco.mj_getState(self._bare.model, data, self.state_before, _STATE)
        observation, reward, terminated, truncated, info = self.env.step(action)
        if not np.count_nonzero(data.warning.number[_BAD]) and np.abs(data.qvel).max(initial=0.0) < _HUGE:
            self._last = observation
            return observation, reward, terminated, truncated, info
        if self.on_divergence == "stop":
            raise DivergenceError(
                [self.member], [self.state_before[0]], self.state_before[None], np.asarray(action)[None]
            )
        self.divergences += 1
        failed = {"is_success": False} if "is_success" in info else {}
        last = observation if self._last is None else self._last  # None: it was never reset
        return copy.deepcopy(last), 0.0, False, True, {"diverged": True, **failed}

    def state_dict(self) -> dict[str, Any]:
        """What decides the next steps, for checkpoints; not ``on_divergence``, which a resumed training may change."""
        return {"last": self._last, "divergences": self.divergences}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        self._last = state["last"]
        self.divergences = int(state["divergences"])


def watched(env: gymnasium.Env[Any, Any], on_divergence: OnDivergence, member: int = 0) -> gymnasium.Env[Any, Any]:
    """The environment with its physics watched; one without MuJoCo's physics stays as it is.

    Args:
        env: any environment.
        on_divergence: what to do.
        member: its index among the environments that are stepped together.
    """
    bare: Any = env.unwrapped
    if isinstance(getattr(bare, "data", None), mujoco.MjData):
        return WatchDivergence(env, on_divergence, member)
    simulation: Any = getattr(bare, "simulation", None)
    if hasattr(simulation, "on_divergence"):  # a task's environment watches itself
        simulation.on_divergence = on_divergence
        simulation.first_member = member
    return env
