"""Batches in parts: which operators treat samples apart, and how many samples stay in the second-level cache from layer
to layer."""
