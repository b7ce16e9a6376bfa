"""Kernels of pooling and of resizes."""
