"""The integer graph becomes kernels, the steps that call them and the constants that they read."""
