"""Training runs: configuration, environments and models made of it, training, and what lies in a run folder."""
