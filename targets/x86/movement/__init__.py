"""Copies that change no value."""
