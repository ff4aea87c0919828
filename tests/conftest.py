"""Chosen before anything imports MuJoCo: rendering tests need no display."""

from eqrl.headless import choose_renderer

choose_renderer()
