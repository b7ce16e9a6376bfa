"""Operators whose results follow from indices: look-ups, scattering, and choices by order."""
