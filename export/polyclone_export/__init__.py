"""Turns trained students into ONNX bundles, with proof of parity. Reads what `polyclone_distill` trained."""
