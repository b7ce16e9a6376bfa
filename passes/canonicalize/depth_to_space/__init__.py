"""Channels that become pixels between the others: transposed convolutions, and what exporters write for it."""
