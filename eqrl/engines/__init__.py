"""Engines of others that train eqrl's networks or run its environments. Each is an extra, imported where it is used."""
