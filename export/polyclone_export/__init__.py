"""Turns trained students into ONNX bundles, with proof of parity."""
