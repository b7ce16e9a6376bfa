"""Schedules found by measuring: what can be tuned, how it is searched, where it is kept."""
