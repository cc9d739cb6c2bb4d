"""The laptop target's AWS: ministack in its own process and environment, extended by the small modules beside this one.

Boundary: runs on the emulator's own Python, so it imports neither `ratchet` nor `cli`; everything else talks to it by HTTP.
"""
