"""Meter files as CSV: their readings in order, and what the readings of a step come to.

`readings` reads a file piece by piece, `steps` sums pieces up; both know a layout from `pipeline.yaml` and no pipeline
by name.
"""
