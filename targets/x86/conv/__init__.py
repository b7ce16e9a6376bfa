"""Kernels of convolutions and linear layers."""
