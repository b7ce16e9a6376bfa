"""Self-checks of a compiled network: sums that must agree modulo 2^32, and counts of clipped values."""
