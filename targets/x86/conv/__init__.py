"""Convolutions and linear layers."""
