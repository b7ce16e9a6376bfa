"""Kernels written from TIR, for operators without one of their own."""
