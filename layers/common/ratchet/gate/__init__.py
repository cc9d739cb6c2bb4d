"""What a challenger must show before it serves: pure functions over arrays (numpy only, no store, no clock).

`metrics` measures, `bootstrap` says how sure the measurement is, `checks` and `policy` decide and give the reasons.
"""
