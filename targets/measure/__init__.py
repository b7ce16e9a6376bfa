"""Measuring compiled candidates of kernels where no compiler is: jobs, their files, the process that runs them. Needs
NumPy and a driver (or TVM's runtime)."""
