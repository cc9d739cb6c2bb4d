"""Predictions in a Supabase table: an upsert by `base_ts` through the official client."""

from collections.abc import Sequence
from typing import Any

import httpx
from postgrest.exceptions import APIError

from ratchet.adapters.project import quoted, require
from ratchet.errors import SourceMismatch, SourceRefused, Unavailable
from ratchet.serving.score import Answer

TIMEOUT_SECONDS = 30


class SupabaseTable:
    """A project's tables; the columns are `base_ts` (unique), `target_ts`, `model_run_ts` and `pred` (jsonb)."""

    def __init__(self, url: str, key: str, client: Any = None) -> None:
        """Connects with the key unless a client is given. Raises BadConfiguration for what cannot be a url or a key."""
        require(url, key)
        if client is None:
            from supabase import ClientOptions, create_client

            client = create_client(url, key, ClientOptions(postgrest_client_timeout=TIMEOUT_SECONDS))
        self._client = client
        self._key = key

    def upsert(self, table: str, rows: Sequence[Answer]) -> None:
        """See `PredictionTable`."""
        try:
            self._client.table(table).upsert(list(rows), on_conflict="base_ts", returning="minimal").execute()
        except httpx.HTTPError as error:
            raise Unavailable(f"Supabase did not take the predictions: {error!r}") from error
        except APIError as error:
            raise self._translated(error, table) from error

    def _translated(self, error: APIError, table: str) -> Exception:
        code = quoted(error.code, self._key)
        text = f"Supabase refuses predictions for '{table}' ({code}): {quoted(error.message, self._key)}"
        if code in {"401", "403", "42501"} or code.startswith("PGRST3"):
            return SourceRefused(f"{text}; the key needs to insert and update there.")
        if code in {"429", "500", "502", "503", "504", "57014"}:
            return Unavailable(text)
        return SourceMismatch(f"{text}; the table needs base_ts (unique), target_ts, model_run_ts and pred (jsonb).")
