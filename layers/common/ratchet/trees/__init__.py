"""LightGBM models as ONNX graphs that answer as LightGBM does, to the last bit.

`ensemble` reads a model's dump, `graph` writes the graph. Used where models are trained; serving needs neither.
"""
