"""The parts of the step "evaluate": fetch the candidates, score the holdout, measure, judge, keep the tests' ledger.

Standard library and numpy; Parquet is read through `ratchet.tables`, models run through `ratchet.serving`.
"""
