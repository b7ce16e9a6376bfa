"""CUDA C++ -> what a driver loads, without a GPU."""
