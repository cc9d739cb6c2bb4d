"""Load of the next hours, with quantiles, from what a household used so far."""
