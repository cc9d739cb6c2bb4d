"""Rows from the source into the landing area: incremental, resumable, idempotent. Standard library and numpy only."""
