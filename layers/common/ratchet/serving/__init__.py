"""Serving: bundles, inference sessions, the champion and scoring. Third party: onnxruntime."""
