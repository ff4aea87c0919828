"""A spectator in Chromium, in a process of its own, because MuJoCo Studio opens once in a process."""

import json
import sys
import tempfile
import threading
import time
from pathlib import Path

import gymnasium
import numpy as np
from browser import Browser
from mujoco.studio.dear_imgui import dear_imgui as imgui

import eqrl
from eqrl.watching import studio
from eqrl.watching.loopback import address, listen
from eqrl.watching.panel import Panel
from eqrl.watching.player import Player
from eqrl.watching.session import Session

PATIENCE = 120.0  # s; Chromium draws with the processor where there is no GPU
SIZE = (720, 560)
MOVED = 200  # pixels
PRESSED = ("+30##scene", "+30##goal", "away", "pause")
SCENE = (slice(0, 380), slice(350, 720))  # rows and columns right of the panel


class Spectator:
    """Looks at the page and presses buttons, on a thread of its own.

    Attributes:
        moved: pixels that change between two looks at the scene while the robot walks.
        still: the same while time stands still.
    """

    def __init__(self, url, buttons, asked):
        self._url, self._buttons, self._asked = url, buttons, asked
        self.moved = self.still = self.error = None
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        try:
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, Browser(folder, SIZE) as browser:
                browser.open(self._url)
                self.moved = until(lambda: change(browser), lambda size: size > MOVED)
                for label in PRESSED:
                    x, y = until(lambda label=label: self._buttons.get(label), lambda at: at is not None)
                    before = len(self._asked)
                    browser.click(x, y)
                    until(lambda: len(self._asked), lambda now, before=before: now > before)
                self.still = until(lambda: change(browser), lambda size: size < MOVED / 10)
        except BaseException as error:  # raised again where the test waits
            self.error = error


def change(browser):
    """How many pixels of the scene become another colour within a moment; noise of the renderer does not count."""
    before = browser.picture()[SCENE].astype(np.int64)
    time.sleep(0.3)
    return int((np.abs(browser.picture()[SCENE] - before).max(axis=-1) > 30).sum())


def until(look, enough):
    """What ``look`` gives as soon as it is enough."""
    deadline = time.monotonic() + PATIENCE
    while not enough(seen := look()):
        assert time.monotonic() < deadline, f"waited in vain, and saw {seen} at last"
        time.sleep(0.1)
    return seen


class MarkedPanel(Panel):
    """A panel that tells where in the page the middle of each button is, by its label."""

    places: dict[str, tuple[float, float]] = {}

    def _button(self, label, request, value):
        super()._button(label, request, value)
        low, high = imgui.GetItemRectMin(), imgui.GetItemRectMax()
        self.places[label] = ((low.x + high.x) / 2, (low.y + high.y) / 2)


class AskedSession(Session):
    """A session that remembers what it was asked for."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.asked = []

    def ask(self, request, value=0.0):
        super().ask(request, value)
        self.asked.append((request, value))


def main(folders):
    """Watch the agents of run folders in Chromium, press buttons, and print what came of it as JSON."""
    studio.Panel = MarkedPanel
    players = [Player(Path(f).name, eqrl.load(f)[0], gymnasium.make("eqrl/AntTarget-v0")) for f in folders]
    session = AskedSession("eqrl/AntTarget-v0", players)
    with listen(0) as listener, studio.Theatre(listener, "test") as theatre:
        spectator = Spectator(address(listener), MarkedPanel.places, session.asked)
        spectator.thread.start()
        theatre.play(session, goes_on=spectator.thread.is_alive)
        spectator.thread.join()
    if spectator.error is not None:
        raise spectator.error
    status = session.status()
    angles = {"scene": status.scene, "goal": status.goal, "paused": status.paused}
    print(json.dumps({"asked": session.asked, "moved": spectator.moved, "still": spectator.still, **angles}))


if __name__ == "__main__":
    main(sys.argv[1:])
