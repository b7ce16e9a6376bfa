"""Runs the kernels of any x86 level on any x86-64-v3 machine: LLVM IR in which instructions that the machine lacks
are calls of portable functions."""
