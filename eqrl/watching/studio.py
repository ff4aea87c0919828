"""Show a session in MuJoCo Studio."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import mujoco
from mujoco.studio import launch_web, viewer_protocol

from eqrl.arrays import Floats
from eqrl.errors import UsageError
from eqrl.watching.loopback import confined
from eqrl.watching.panel import Panel, Relay, Shown
from eqrl.watching.status import STATE, Request
from eqrl.watching.view import Drawing

if TYPE_CHECKING:
    from eqrl.watching.physics import Physics
    from eqrl.watching.session import Session

_FRAME_SECONDS = 1.0 / 60.0
_LATE_SECONDS = 0.25


class Theatre:
    """MuJoCo Studio in a browser. It opens with an empty stage, so that a browser loads it while an agent is loaded.

    A process can open one: a second MuJoCo Studio 4.0.0 crashes it, even after the first was closed.

    Args:
        listener: a listening socket, see :func:`eqrl.watching.listen`.
        title: of the page.

    Raises:
        UsageError: if MuJoCo Studio cannot be kept from the network, or was open in this process before.
    """

    _was_opened = False

    def __init__(self, listener: socket.socket, title: str) -> None:
        if Theatre._was_opened:
            raise UsageError("MuJoCo Studio opens once in a process; start another process to watch again")
        Theatre._was_opened = True
        self._ask: Callable[[Request, float], None] | None = None
        with contextlib.ExitStack() as opened:
            bound = opened.enter_context(confined(listener))
            opened.enter_context(_quiet())
            config = viewer_protocol.ViewerConfig(gfx="web", title=title)
            self._handle = launch_web.launch(config, plugins=[Panel(), Relay(self._asked)])
            opened.callback(self._handle.close)
            while not bound.wait(0.02):
                self._handle.is_running()  # raises what went wrong on the viewer's thread
            self._opened = opened.pop_all()

    def preview(self, physics: Physics) -> None:
        """Show a scene that does not move yet."""
        self._handle.set_model(physics.model, data=mujoco.MjData(physics.model))
        mujoco.mj_setState(physics.model, self._handle.data, physics.state, STATE)
        self._handle.sync()

    def play(self, session: Session, goes_on: Callable[[], bool] = lambda: True) -> None:
        """Play until the viewer is closed.

        Args:
            session: what is played.
            goes_on: asked after every control step; false ends the play.
        """
        self._ask = session.ask
        drawing = Drawing(session)
        if self._handle.model is not session.model:
            self._handle.set_model(session.model, data=mujoco.MjData(session.model))
        self._show(session, drawing, session.states())
        start = time.monotonic()
        while self._handle.is_running() and goes_on():
            if session.paused:
                time.sleep(_FRAME_SECONDS)
                self._show(session, drawing, session.states())
                start = time.monotonic()
                continue
            frames = session.advance()
            interval = session.dt / len(frames) / session.speed
            stride = min(max(1, int(_FRAME_SECONDS / interval)), len(frames))
            for k in range(stride, len(frames) + 1, stride):
                time.sleep(max(0.0, start + k * interval - time.monotonic()))
                self._show(session, drawing, frames[k - 1])
            start = max(start + len(frames) * interval, time.monotonic() - _LATE_SECONDS)

    def close(self) -> None:
        """Stop serving."""
        self._opened.close()

    def __enter__(self) -> Theatre:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _show(self, session: Session, drawing: Drawing, states: tuple[Floats, ...]) -> None:
        handle = self._handle
        mujoco.mj_setState(handle.model, handle.data, states[max(session.shown, 0)], STATE)
        handle.send_to_viewer(Shown(session.status(), drawing.geoms(states)))
        handle.sync()

    def _asked(self, request: Request, value: float) -> None:
        if self._ask is not None:
            self._ask(request, value)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Drop what MuJoCo Studio prints: an address that is not the one it listens on, and how browsers come and go.

    It forgets tasks of closed connections, which asyncio reports as errors with a traceback.
    """
    loggers = [(logging.getLogger("WebServer"), logging.ERROR), (logging.getLogger("asyncio"), logging.CRITICAL)]
    levels = [logger.level for logger, _ in loggers]
    for logger, level in loggers:
        logger.setLevel(level)
    try:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            yield
    finally:
        for (logger, _), level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
