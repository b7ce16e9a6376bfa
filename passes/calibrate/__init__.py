"""Ranges: float networks are run on samples, statistics of their tensors are merged, and become scales."""
