"""Ratchet's domain: runs, leases, extraction, preparation, judging, promotion and scoring behind small ports.

Modules directly below import the standard library and numpy only; each subpackage names its one third party.
"""
