"""Manipulation environments."""
