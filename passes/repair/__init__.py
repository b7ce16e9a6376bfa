"""Repairs of accuracy that leave the fp32 network's function as it is, each measured before it is kept."""
