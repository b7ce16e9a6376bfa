"""The runtime that every compiled network carries, in C: threads, buffers and streams. It is linked into kernels.so,
which needs libc and libm only."""
