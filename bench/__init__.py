"""Measurements beside the alternatives: each prints its table and saves it under `bench/results/`."""
