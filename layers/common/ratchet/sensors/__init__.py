"""Sensor files as JSON Lines: their samples, and what the samples of an hour come to.

`samples` reads a file, `hours` sums files up; both know a layout from `pipeline.yaml` and no pipeline by name.
"""
