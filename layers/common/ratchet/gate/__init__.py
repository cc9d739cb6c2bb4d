"""What a challenger must show before it serves: pure functions over arrays (numpy only, no store, no clock).

`metrics` and `quantiles` measure, `bootstrap` says how sure the measurement is, `checks`, `floors` and `policy` decide
and give the reasons.
"""
