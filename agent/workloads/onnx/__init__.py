"""Any ONNX model."""
