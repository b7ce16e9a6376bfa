"""Lowering to CUDA: the integer graph becomes a list of kernel launches on numbered storage."""
