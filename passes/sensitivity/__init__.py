"""Which layers cost the accuracy: the quantised network simulated with switches, and searches that measure with it."""
