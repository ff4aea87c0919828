"""What goes between a session and its spectator. It is imported before PyTorch, which takes seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import mujoco

Request: TypeAlias = Literal["scene", "goal", "push", "strength", "show", "speed", "pause", "restart", "next"]
BOTH = -1
STATE = mujoco.mjtState.mjSTATE_INTEGRATION


@dataclass(frozen=True)
class Seen:
    """What the spectator reads about one agent.

    Attributes:
        name: of the agent.
        returned: sum of its rewards so far.
        success: None if the environment does not report it.
        done: whether it waits for the other to end its episode.
        error: relative error of its action if the world were turned; None if its spaces are not typed.
    """

    name: str
    returned: float
    success: bool | None
    done: bool
    error: float | None


@dataclass(frozen=True)
class Status:
    """What the spectator reads and may press.

    Attributes:
        title: the environment.
        seen: the agents.
        seed: of the episode.
        seconds: simulated time since its start.
        scene: degrees by which the scene is turned.
        goal: degrees by which the goal is turned besides.
        turn: degrees a press.
        turns_scene: whether the scene can be turned.
        turns_goal: whether the goal can be turned.
        pushed: name of the body that is pushed.
        strength: of a push in m/s.
        shown: index of the agent that is shown, or ``BOTH``.
        speed: simulated seconds a second.
        paused: whether time stands still.
    """

    title: str
    seen: tuple[Seen, ...]
    seed: int
    seconds: float
    scene: float
    goal: float
    turn: float
    turns_scene: bool
    turns_goal: bool
    pushed: str
    strength: float
    shown: int
    speed: float
    paused: bool
