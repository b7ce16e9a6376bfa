"""Recurrent layers of ONNX: the layer over time, and the functions of its gates."""
