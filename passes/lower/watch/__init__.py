"""Calls that watch a program while it runs, added when it is placed."""
