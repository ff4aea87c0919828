"""The panel in the browser: what the agents did, and buttons. It lives in the viewer of MuJoCo Studio."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mujoco
from mujoco.studio import messages, plugin
from mujoco.studio.dear_imgui import dear_imgui as imgui

from eqrl.watching.status import BOTH, Request, Status
from eqrl.watching.view import aim

_PLACE, _WIDTH = (12.0, 12.0), 330.0
_SPEEDS, _STRENGTHS = (0.1, 3.0), (0.1, 3.0)
_COMPASS = (("left", 180.0), ("right", 0.0), ("away", 90.0), ("near", 270.0))


@dataclass(frozen=True)
class Asked(messages.Event):  # type: ignore[misc]
    """What the spectator asks for, as :meth:`Session.ask` takes it."""

    request: Request
    value: float


@dataclass(frozen=True, eq=False)
class Shown(messages.Snapshot):  # type: ignore[misc]
    """What the panel says, and what is drawn besides the model."""

    status: Status
    geoms: list[mujoco.MjvGeom]


class Relay(plugin.SimPlugin):  # type: ignore[misc]
    """Hands what the spectator asks for to the simulation.

    Args:
        ask: called on the thread of the simulation.
    """

    def __init__(self, ask: Callable[[Request, float], None]) -> None:
        self._ask = ask

    @messages.handler  # type: ignore[untyped-decorator]
    def on_asked(self, event: Asked) -> None:
        """Hand it on."""
        self._ask(event.request, event.value)


class Panel(plugin.ViewerPlugin):  # type: ignore[misc]
    """A window with the numbers and the buttons."""

    def __init__(self) -> None:
        self._status: Status | None = None

    @messages.handler  # type: ignore[untyped-decorator]
    def on_model(self, event: messages.PostModelEvent) -> None:
        """Aim the camera."""
        aim(self.viewer.camera, event.model, event.data)

    @messages.handler  # type: ignore[untyped-decorator]
    def on_shown(self, shown: Shown) -> None:
        """Keep what is to be shown."""
        self._status = shown.status
        self.viewer.extra_geoms[:] = shown.geoms

    @messages.handler  # type: ignore[untyped-decorator]
    def build(self, event: messages.BuildGuiEvent) -> None:
        """Draw the window, a frame at a time."""
        if (status := self._status) is None:
            return
        imgui.SetNextWindowPos(imgui.Vec2(*_PLACE), int(imgui.Cond.FirstUseEver))
        imgui.SetNextWindowSize(imgui.Vec2(_WIDTH, 0.0), int(imgui.Cond.Always))
        imgui.Begin("eqrl watch", flags=int(imgui.WindowFlags.NoTitleBar))
        try:
            self._numbers(status)
            self._turns(status)
            self._pushes(status)
            if len(status.seen) > 1:
                self._networks(status)
            self._time(status)
        finally:
            imgui.End()

    def _numbers(self, status: Status) -> None:
        imgui.Text(status.title)
        imgui.Text(f"seed {status.seed}   {status.seconds:5.2f} s")
        for seen in status.seen:
            ended = "   ended" if seen.done else ""
            success = "" if seen.success is None else f"   success {'yes' if seen.success else 'no'}"
            imgui.Text(f"{seen.name}: return {seen.returned:.1f}{success}{ended}")
            if seen.error is not None:
                imgui.Text(f"   turned by {status.turn:g} deg its action errs by {seen.error:.1e}")

    def _turns(self, status: Status) -> None:
        rows: tuple[tuple[Request, float, bool], ...] = (
            ("scene", status.scene, status.turns_scene),
            ("goal", status.goal, status.turns_goal),
        )
        for what, angle, possible in rows:
            if possible:
                self._button(f"-{status.turn:g}##{what}", what, -1.0)
                imgui.SameLine()
                self._button(f"+{status.turn:g}##{what}", what, 1.0)
                imgui.SameLine()
                imgui.Text(f"{what} turned by {angle:.0f} deg")
        if not (status.turns_scene or status.turns_goal):
            imgui.Text("this environment cannot be turned")

    def _pushes(self, status: Status) -> None:
        imgui.AlignTextToFramePadding()
        imgui.Text(f"push {status.pushed}")
        for name, degrees in _COMPASS:
            imgui.SameLine()
            self._button(name, "push", degrees)
        self._slider("push, m/s", "strength", status.strength, _STRENGTHS)

    def _networks(self, status: Status) -> None:
        for i, seen in enumerate(status.seen):
            if imgui.RadioButton(f"{seen.name}##show", status.shown == i):
                self._send("show", i)
        if imgui.RadioButton(f"both, {status.seen[1].name} as a ghost", status.shown == BOTH):
            self._send("show", BOTH)

    def _time(self, status: Status) -> None:
        self._slider("speed", "speed", status.speed, _SPEEDS)
        self._button("go on" if status.paused else "pause", "pause", 0.0)
        imgui.SameLine()
        self._button("again", "restart", 0.0)
        imgui.SameLine()
        self._button("next episode", "next", 0.0)

    def _button(self, label: str, request: Request, value: float) -> None:
        if imgui.Button(label):
            self._send(request, value)

    def _slider(self, label: str, request: Request, value: float, limits: tuple[float, float]) -> None:
        changed, new = imgui.SliderFloat(label, value, *limits, "%.2f")
        if changed:
            self._send(request, min(max(new, limits[0]), limits[1]))

    def _send(self, request: Request, value: Any) -> None:
        self.viewer.send_to_sim(Asked(request, float(value)))
