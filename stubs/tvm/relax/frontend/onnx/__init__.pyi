from . import onnx_frontend as onnx_frontend
