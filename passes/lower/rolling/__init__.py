"""Recurrent layers: loops of kernel calls."""
