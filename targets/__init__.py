"""Processors and GPUs: what each can do, its kernels, the packages that are made for it and what runs them."""
