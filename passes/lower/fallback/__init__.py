"""Operators without a kernel of their own: emitted as they are, and legalised to TIR."""
