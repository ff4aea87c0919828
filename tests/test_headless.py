"""The renderer is chosen before MuJoCo is imported, and never one whose library is missing."""

import ctypes

import pytest

from eqrl import headless


@pytest.fixture
def bare(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "MUJOCO_GL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(headless.sys, "platform", "linux")
    return monkeypatch


@pytest.mark.parametrize("installed", [True, False])
def test_egl_is_chosen_only_where_it_is_installed(bare, installed):
    def load(name):
        assert name == "libEGL.so.1"
        if not installed:
            raise OSError(name)

    bare.setattr(ctypes, "CDLL", load)
    headless.choose_renderer()
    assert headless.os.environ.get("MUJOCO_GL") == ("egl" if installed else None)


@pytest.mark.parametrize(
    ("name", "value"), [("DISPLAY", ":0"), ("WAYLAND_DISPLAY", "wayland-0"), ("MUJOCO_GL", "osmesa")]
)
def test_a_display_and_the_users_choice_come_first(bare, name, value):
    bare.setenv(name, value)
    headless.choose_renderer()
    assert headless.os.environ.get("MUJOCO_GL") == (value if name == "MUJOCO_GL" else None)
