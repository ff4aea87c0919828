"""Locomotion environments."""
