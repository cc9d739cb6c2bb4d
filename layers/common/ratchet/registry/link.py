"""A signed link to a decision: whoever holds it may decide about one package until its time is over, nobody else."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from ratchet.errors import LinkRefused
from ratchet.instants import Clock, iso, parse_instant

PATH = "/approvals"


@dataclass(frozen=True)
class Signer:
    """Signs with a secret of its own (HMAC-SHA256, RFC 2104)."""

    secret: str

    def link(self, api_url: str, pipeline: str, run_ts: str, until: datetime) -> str:
        """The link to the page of a run's approval."""
        asked = {"until": iso(until), "signature": self._signature(pipeline, run_ts, iso(until))}
        return f"{api_url}{PATH}/{pipeline}/{run_ts}?{urlencode(asked)}"

    def check(self, pipeline: str, run_ts: str, until: str, signature: str, clock: Clock) -> None:
        """Raises LinkRefused for a link that was changed, or whose time is over."""
        if not hmac.compare_digest(self._signature(pipeline, run_ts, until).encode(), _bytes(signature)):
            raise LinkRefused("This link is not whole: open it from the message as it stands there.")
        if clock() >= parse_instant(until):
            raise LinkRefused(f"This link was good until {until}; run the pipeline again to be asked again.")

    def _signature(self, *parts: str) -> str:
        # A line break stands in none of the parts, so that no two texts are signed alike.
        return hmac.new(self.secret.encode(), _bytes("\n".join(parts)), hashlib.sha256).hexdigest()


def _bytes(text: str) -> bytes:
    """Of whatever a visitor sends: half a character has no bytes otherwise."""
    return text.encode(errors="surrogatepass")
