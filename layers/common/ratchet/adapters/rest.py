"""Requests to Supabase's REST interface: what is tried again, for how long, and which named error it becomes.

The client retries 503, 520 and dropped connections only; here 429 with its `Retry-After`, all passing 5xx, time-outs
and cut-off bodies are covered too, so its own retries are off. Its time-outs are for each piece of an answer: one that
comes in drips would never end, hence a deadline for the whole.
"""

import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar, cast

import httpx

from ratchet.adapters.page_limits import StatementTimeout
from ratchet.adapters.project import quoted
from ratchet.adapters.rows import Incomplete, parse
from ratchet.errors import MissingTable, RatchetError, SourceMismatch, SourceRefused, Unavailable

ATTEMPTS = 6
FIRST_DELAY = 0.5
LONGEST_DELAY = 10.0
DEADLINE_SECONDS = 60.0
"""Of one request: Supabase's API ends its own after that."""
CONNECT_SECONDS = 5.0
LONGEST_WAIT = 60.0
"""A server that asks for a longer pause than this in `Retry-After` is left to the state machine's retry."""
PASSING = {408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 525, 530}
MISSING_TABLE = {"42P01", "PGRST205"}
MISSING_COLUMN = {"42703", "PGRST204"}
Answer = TypeVar("Answer")
Sleep = Callable[[float], None]


class Overdue(httpx.ReadTimeout):
    """The answer is still not whole at the deadline."""


class Punctual(httpx.SyncByteStream):
    """A body that must be whole at an instant of the monotonic clock."""

    def __init__(self, body: httpx.SyncByteStream, end: float) -> None:
        """Reads `body` on."""
        self._body = body
        self._end = end

    def __iter__(self) -> Iterator[bytes]:
        """The pieces. Raises Overdue with the first one that comes late."""
        for piece in self._body:
            if time.monotonic() > self._end:
                raise Overdue("The deadline has passed.")
            yield piece

    def close(self) -> None:
        """Gives the connection back."""
        self._body.close()


def connections(deadline_seconds: float) -> httpx.Client:
    """An HTTP client whose answers are whole by the deadline; a piece of one takes half of it at the most."""

    def start(request: httpx.Request) -> None:
        request.extensions["end"] = time.monotonic() + deadline_seconds

    def watch(response: httpx.Response) -> None:
        body = cast("httpx.SyncByteStream", response.stream)
        response.stream = Punctual(body, response.request.extensions["end"])

    timeout = httpx.Timeout(deadline_seconds / 2, connect=min(CONNECT_SECONDS, deadline_seconds / 2))
    hooks: dict[str, list[Callable[..., None]]] = {"request": [start], "response": [watch]}
    return httpx.Client(timeout=timeout, http2=False, follow_redirects=False, event_hooks=hooks)


class Transport:
    """Sends requests again while that may help; `key` is struck out of whatever the server says."""

    def __init__(self, url: str, key: str, sleep: Sleep = time.sleep) -> None:
        """For the project at `url`; `sleep` takes seconds."""
        self._url = url
        self._key = key
        self._sleep = sleep

    def ask(self, send: Callable[[], httpx.Response], read: Callable[[httpx.Response], Answer], what: str) -> Answer:
        """What `read` makes of a good answer; `what` names the table in messages.

        Raises StatementTimeout, Unavailable when attempts run out, SourceRefused, SourceMismatch.
        """
        trouble = ""
        for attempt in range(ATTEMPTS):
            pause = min(LONGEST_DELAY, FIRST_DELAY * 2**attempt) * random.uniform(0.5, 1)  # noqa: S311
            try:
                response = send()
                # Response and stream refer to each other: pages would stay in memory until the cycle collector comes.
                response.stream = httpx.ByteStream(b"")
                if response.is_success:
                    return self._read(response, read, what)
                trouble = self._trouble(response, what)
                pause = max(pause, _retry_after(response))
            except Incomplete:
                trouble = "its answer breaks off"
            except httpx.TransportError as error:
                trouble = _describe(error)
            if pause > LONGEST_WAIT:
                raise Unavailable(f"Supabase asks to wait {pause:.0f} s before {what} is read; run again after that.")
            if attempt + 1 < ATTEMPTS:
                self._sleep(pause)
        raise Unavailable(
            f"Supabase at {self._url} did not deliver {what} in {ATTEMPTS} attempts: {trouble}. Check the url in the "
            "secret, the network's way there, and whether the project is paused; then run again."
        )

    def _read(self, response: httpx.Response, read: Callable[[httpx.Response], Answer], what: str) -> Answer:
        kind = response.headers.get("content-type", "")
        if "html" in kind or response.content[:64].lstrip()[:1] == b"<":
            raise SourceMismatch(
                f"{self._url} answers with a web page where {what} should be: the url in the secret is likely wrong; "
                "use the project's API URL, https://<project>.supabase.co."
            )
        return read(response)

    def _trouble(self, response: httpx.Response, what: str) -> str:
        """Why another attempt may help; raises the named error where it cannot."""
        code, message = self._reason(response)
        if code == "57014":
            raise StatementTimeout
        if response.status_code in PASSING and code not in MISSING_TABLE:
            return f"HTTP {response.status_code}{f' ({message})' if message else ''}"
        raise self._final(response.status_code, code, message, what)

    def _final(self, status: int, code: str, message: str, what: str) -> RatchetError:
        said = f" ({message})" if message else ""
        if status in {401, 403}:
            return SourceRefused(
                f"Supabase refuses the key for {what}: HTTP {status}{said}. Put the project's service_role key into "
                "the secret, and grant select on the table to its role."
            )
        if code in MISSING_TABLE:
            return MissingTable(f"Supabase has no {what}{said}: create it, or correct pipeline.yaml.")
        if code in MISSING_COLUMN:
            return SourceMismatch(f"A declared column of {what} is missing{said}: add it, or correct pipeline.yaml.")
        if status == 540:
            return Unavailable(f"The Supabase project is paused{said}: resume it in the dashboard, then run again.")
        return SourceMismatch(
            f"{self._url} answers HTTP {status}{said} for {what}: check the url in the secret "
            "(https://<project>.supabase.co) and the table in pipeline.yaml."
        )

    def _reason(self, response: httpx.Response) -> tuple[str, str]:
        """PostgreSQL's or PostgREST's code and message, on one line and without the key."""
        try:
            document: Any = parse(response.content)
            code, message = document.get("code"), document.get("message")
        except (Incomplete, AttributeError):
            return "", ""
        return str(code or ""), quoted(message, self._key)


def _retry_after(response: httpx.Response) -> float:
    """Seconds that the server asks to wait, given as seconds or as a date; 0 where it does not."""
    text = response.headers.get("retry-after", "").strip()
    if text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _describe(error: httpx.TransportError) -> str:
    if isinstance(error, Overdue):
        return "its answer does not come to an end in time"
    if isinstance(error, httpx.TimeoutException):
        return "it does not answer in time"
    if isinstance(error, httpx.ConnectError):
        return f"it cannot be reached ({error})"
    return f"the connection broke ({type(error).__name__})"
