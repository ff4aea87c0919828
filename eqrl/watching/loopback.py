"""A listener on this machine alone, and MuJoCo Studio made to use it.

MuJoCo Studio 4.0.0 listens on all interfaces, has no option for it and asks nobody for a password. So whoever reaches
the port could look at the scene and press its buttons, and so could every web page that is open in a browser here.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from eqrl.errors import UsageError

HOST = "127.0.0.1"
_NAMES = (HOST, "localhost")


def listen(port: int) -> socket.socket:
    """Listen on the loopback interface. Browsers that come early wait until somebody serves them.

    Args:
        port: the port, 0 for any free one.

    Raises:
        UsageError: if the port is in use, needs other rights, or does not exist.
    """
    if not 0 <= port < 2**16:
        raise UsageError(f"option 'port': {port} is no port; give one from 1024 to 65535, or 0 for any free one")
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of the last run may linger
    try:
        listener.bind((HOST, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise UsageError(
            f"option 'port': {port} cannot be listened on ({error.strerror}); give another port, or 0 for any free one"
        ) from None
    return listener


def address(listener: socket.socket) -> str:
    """What to type into a browser."""
    return f"http://{HOST}:{listener.getsockname()[1]}/"


@contextmanager
def confined(listener: socket.socket) -> Iterator[threading.Event]:
    """Within this, MuJoCo Studio serves the given listener, and only pages that came from it.

    Pages of other origins are refused their connection (WebSockets know no same-origin policy of their own), so a
    foreign web page can neither look nor press; a name that somebody points at this machine is another origin too.

    Yields:
        An event that is set as soon as a viewer has taken the listener.

    Raises:
        UsageError: for a MuJoCo Studio that listens in another way.
    """
    try:
        from mujoco.studio.web import web_server
    except ImportError as error:
        raise UsageError(f"MuJoCo Studio cannot be imported ({error}); install it with pip install mujoco") from error
    original = {name: getattr(web_server, name, None) for name in ("bind_public_socket", "serve")}
    if None in original.values():
        raise UsageError("this version of MuJoCo Studio cannot be kept from the network; install mujoco 4.0.0")
    port = listener.getsockname()[1]
    # None: programs, which send no origin, could do on this machine whatever they like without us
    origins = [None, *(f"http://{name}:{port}" for name in _NAMES)]

    taken = threading.Event()

    def bind(host: str, port: int = 0) -> socket.socket:
        taken.set()
        return listener.dup()  # Studio closes it

    serve: Any = partial(web_server.serve, origins=origins)
    web_server.bind_public_socket, web_server.serve = bind, serve
    try:
        yield taken
    finally:
        for name, value in original.items():
            setattr(web_server, name, value)
