"""Latency, and where it goes."""
