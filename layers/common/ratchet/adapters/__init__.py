"""The outside world behind the domain's ports; SDK errors become Ratchet's own here."""
