"""Operators that read windows of images: convolutions, pooling, and what undoes it."""
