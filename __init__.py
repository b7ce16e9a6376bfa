"""Octet compiles a trained fp32 ONNX network into a fast, deployable int8 module."""
