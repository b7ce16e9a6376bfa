"""CUDA targets: int8 kernels in CUDA C, their compilation without a GPU, an emulator that proves them, and a runtime
that needs only the driver."""
