"""Part of eqrl."""
