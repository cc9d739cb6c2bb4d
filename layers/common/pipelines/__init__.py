"""The pipelines, one folder each: `pipeline.yaml`, `features.py`, `train.py`."""
