"""Environments that were typed from outside, as worlds in which their declarations can be checked."""
