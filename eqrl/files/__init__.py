"""Atomic writing, and readers of untrusted files that run nothing in them."""
