"""Training runs: configuration, the environments and models built from it, training, and the run folder."""
