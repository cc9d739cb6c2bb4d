"""What is said of a table that shows no rows although it must have some: a missing row policy looks like emptiness."""

from ratchet.errors import SourceUnreadable
from ratchet.extraction.watermark import Watermark


def hidden(name: str, clue: str) -> SourceUnreadable:
    """The error for a table; `clue` says why its emptiness is not believed."""
    return SourceUnreadable(
        f"The table {name} shows no rows {clue}: give the key's role a row level policy to select from it "
        "(Supabase: Authentication > Policies), or put the service_role key into the secret."
    )


def hidden_after(mark: Watermark) -> SourceUnreadable:
    """The error for a table of which rows have landed."""
    clue = f"although {mark.rows + mark.rejected} rows of it were read before"
    return SourceUnreadable(
        f"{hidden(mark.table, clue)} If it was emptied on purpose, move landing/{mark.table}/ away."
    )
