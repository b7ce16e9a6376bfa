"""Packages of several shapes: what differs between them, and sessions that choose."""
