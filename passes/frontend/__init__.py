"""ONNX files become Relax modules of static shapes, their operators in the few forms that later passes know."""
