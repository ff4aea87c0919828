"""Robots: their models, their symmetry, and the layout of their state."""
