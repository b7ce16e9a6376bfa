"""Lowering for processors, x86 and arm64."""
