"""The laptop target's AWS: ministack in its own process and environment, extended by the small modules in this package.

Boundary: runs on the emulator's own Python, so it imports neither `ratchet` nor `cli`; all others talk to it by HTTP.
"""
