"""The QDQ hub as an ONNX file that any other runtime reads."""
