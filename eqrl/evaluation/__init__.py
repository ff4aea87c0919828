"""How good an agent is, and on which rotated worlds: protocols, statistics, figures and films."""
