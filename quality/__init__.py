"""What the pipelines reach on real data, by published protocols: `python -m quality`, `make quality`."""
