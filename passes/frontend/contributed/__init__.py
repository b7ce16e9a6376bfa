"""Operators of ONNX Runtime's domain that its optimiser puts in place of ONNX's own."""
