"""The step Tidy up: what an endpoint's moves left behind goes, but for what the last ones served."""

from ratchet.endpoint.hosting import Hosting, candidate_name, is_config

KEPT = 3
"""Configurations, the one in service included, that stay so that an earlier one is back in minutes."""


def tidy(hosting: Hosting, endpoint: str) -> list[str]:
    """Deletes the candidate and all but the newest configurations with their models; the names of those deleted."""
    hosting.delete_endpoint(candidate_name(endpoint))
    found = hosting.endpoint(endpoint)
    served = {found.config} if found else set()
    ours = [name for name in hosting.named(f"{endpoint}-") if is_config(endpoint, name)]
    # What is alike in all of them ends where the run's instant begins.
    others = sorted(set(ours) - served, reverse=True)
    surplus = others[KEPT - len(served) :]
    for name in surplus:
        hosting.discard(name)
    return surplus
