"""One or two agents on the same episode, and what the spectator asks for."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np

from eqrl.arrays import Floats
from eqrl.symmetry import about_gravity
from eqrl.watching.player import Player
from eqrl.watching.status import BOTH, Request, Seen, Status

_ERROR_EVERY = 5  # control steps


class Session:
    """Plays agents on equal episodes: same seed, same turns, same pushes.

    Args:
        title: the environment.
        players: one or two.
        rotations: number of equally spaced angles, as of ``eqrl evaluate``; a press turns from one to the next.
        seed: of the first episode; each further one has the next seed.
    """

    def __init__(self, title: str, players: Sequence[Player], rotations: int = 12, seed: int = 10_000) -> None:
        self.players = tuple(players)
        self.shown = BOTH if len(players) > 1 else 0
        self.speed = self._strength = 1.0
        self.paused = False
        self.title, self._turn, self._seed = title, 360.0 / rotations, seed
        self._scene = self._goal = 0.0
        self._errors: tuple[float | None, ...] = (None,) * len(players)
        self._steps = 0
        self._start()

    @property
    def dt(self) -> float:
        """Simulated seconds of what :meth:`advance` gives."""
        return self.players[0].dt

    @property
    def model(self) -> mujoco.MjModel:
        """The compiled model; that of all players is the same."""
        return self.players[0].physics.model

    def advance(self) -> list[tuple[Floats, ...]]:
        """One control step of all players; those that have ended wait for the others, and then the next episode starts.

        Returns:
            Frames, equally spaced in time; each has an integration state for every player.
        """
        if all(player.done for player in self.players):
            self._seed += 1
            self._start()
        paths = [player.step() for player in self.players]
        self._steps += 1
        if self._steps % _ERROR_EVERY == 1:
            self._errors = tuple(player.equivariance_error(self._turn) for player in self.players)
        length = max(len(path) for path in paths)
        return [tuple(path[min(k, len(path) - 1)] for path in paths) for k in range(length)]

    def states(self) -> tuple[Floats, ...]:
        """The current integration state of every player."""
        return tuple(player.physics.state for player in self.players)

    def ask(self, request: Request, value: float = 0.0) -> None:
        """Do what the spectator asks.

        Args:
            request: ``"scene"`` and ``"goal"`` turn by ``value`` presses, ``"push"`` pushes ``value``
                degrees from +x of the turned scene, ``"strength"`` says by how many m/s, ``"show"`` chooses a player or
                ``BOTH``, ``"speed"`` sets simulated seconds a second, ``"pause"`` stops or goes on, ``"restart"`` plays
                the episode again and ``"next"`` another one.
            value: a number for it.
        """
        match request:
            case "scene":
                self._turn_scene(value * self._turn)
            case "goal":
                self._turn_goal(value * self._turn)
            case "push":
                self._push(value)
            case "strength":
                self._strength = value
            case "show":
                self.shown = int(value)
            case "speed":
                self.speed = value
            case "pause":
                self.paused = not self.paused
            case "restart":
                self._start()
            case "next":
                self._seed += 1
                self._start()

    def status(self) -> Status:
        """What the spectator reads."""
        first = self.players[0]
        return Status(
            title=self.title,
            seen=tuple(
                Seen(p.name, p.returned, p.success, p.done, error)
                for p, error in zip(self.players, self._errors, strict=True)
            ),
            seed=self._seed,
            seconds=max(player.seconds for player in self.players),
            scene=self._scene,
            goal=self._goal,
            turn=self._turn,
            turns_scene=first.physics.turns_scene,
            turns_goal=first.physics.turns_goal is not None,
            pushed=self.model.body(first.physics.body).name or "robot",
            strength=self._strength,
            shown=self.shown,
            speed=self.speed,
            paused=self.paused,
        )

    def _start(self) -> None:
        for player in self.players:
            player.start(self._seed, self._scene, self._goal)

    def _turn_scene(self, degrees: float) -> None:
        if not self.players[0].physics.turns_scene:
            return
        self._scene = (self._scene + degrees) % 360.0
        for player in self.players:
            player.turn_scene(about_gravity(np.deg2rad(degrees)))

    def _turn_goal(self, degrees: float) -> None:
        how = self.players[0].physics.turns_goal
        if how is None:
            return
        self._goal = (self._goal + degrees) % 360.0
        if how == "restart":
            self._start()
            return
        for player in self.players:
            player.turn_goal(about_gravity(np.deg2rad(degrees)))

    def _push(self, degrees: float) -> None:
        angle = np.deg2rad(self._scene + degrees)
        for player in self.players:
            player.push(self._strength * np.array([np.cos(angle), np.sin(angle), 0.0]))
