"""Kernels of matrix products of two computed tensors, as attention has them."""
