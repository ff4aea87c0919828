"""eqrl: reinforcement learning with policies that cannot break the symmetry of their world."""
