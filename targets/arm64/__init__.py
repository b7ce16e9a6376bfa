"""arm64: kernels are those of `targets/x86`, which are written for vectors of 16 lanes; here is what differs."""
