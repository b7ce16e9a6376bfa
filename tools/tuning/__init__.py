"""Tuning sessions as commands run and show them."""
