"""What the pipelines reach on real data, by published protocols: `python -m quality`, `make quality`."""

import os

# LightGBM's threads wait for each other all the time: by spinning, they would keep the processor from others.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
