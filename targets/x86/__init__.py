"""Kernels of CPUs. Other vector units take the same templates (arm64/instructions.py)."""
