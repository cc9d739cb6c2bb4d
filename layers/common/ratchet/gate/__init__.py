"""What a challenger must show before it serves: pure functions over arrays (numpy only, no store, no clock).

`metrics`, `quantiles` and `calibration` measure, `bootstrap`, `clusters` and `delong` say how sure the measurement is,
`checks`, `floors` and `policy` decide and give the reasons, `wording` in whose words.
"""
