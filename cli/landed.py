"""What has landed of a pipeline's source, by table: for `status`. Reads documents alone, never rows."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ratchet.catalog import Pipeline
from ratchet.extraction import watermark
from ratchet.files import part
from ratchet.sources import Tables
from ratchet.store import ObjectStore

AT_ONCE = 16
DAY = "dt="
"""What the names of parts that are days begin with."""


def landed(store: ObjectStore, pipeline: Pipeline) -> dict[str, dict[str, Any]]:
    """By table: `rows` and `rejected`, of tables the `watermark`, of files the `parts`, `records` and `newest` day.

    A table of which nothing has landed is left out. Raises ForeignDocument.
    """
    if isinstance(pipeline.source, Tables):
        marks = {name: watermark.read(store, pipeline.keys, name) for name in pipeline.source.tables}
        return {name: mark.summary() for name, (mark, etag) in marks.items() if etag}
    root = f"{pipeline.prefix}landing/"
    keys = [listed.key for listed in store.list(root) if listed.key.endswith(".json")]
    tables = {key.removeprefix(root).partition("/")[0] for key in keys}
    return {table: _of_parts(store, [key for key in keys if key.startswith(f"{root}{table}/")]) for table in tables}


def told(facts: dict[str, Any]) -> str:
    """One table's facts as a person reads them."""
    counts = {noun: facts.get(f"{noun}s") for noun in ("part", "record", "row")}
    said = [f"{count:,} {noun}{'s' * (count != 1)}" for noun, count in counts.items() if count is not None]
    said += [f"{facts['rejected']:,} rejected"] if facts["rejected"] else []
    newest = facts.get("newest") or facts.get("watermark")
    return ", ".join([*said, f"up to {newest}"] if newest else said)


def _of_parts(store: ObjectStore, keys: list[str]) -> dict[str, Any]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = [one for one in pool.map(lambda key: part.read(store, key), keys) if one]
    days = [one.name.removeprefix(DAY) for one in found if one.name.startswith(DAY)]
    return {
        "parts": len(found),
        "records": sum(one.records for one in found),
        "rows": sum(one.rows for one in found),
        "rejected": sum(sum(one.rejected.values()) for one in found),
        "newest": max(days, default=None),
    }
