"""Kernels that move elements and change no value."""
