"""Kinds of targets: what is asked about one, and the table of them."""
