"""Pooling and resize."""
