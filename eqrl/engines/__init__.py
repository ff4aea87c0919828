"""Engines of others that train eqrl's networks and run its environments."""
