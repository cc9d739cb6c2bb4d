"""Kinds of objects: of the landing bucket one for each method of `Keys` that makes a key, named as the method is.

A kind is known by its keys (`kind_of`), and stands for them in questions of rights (`samples`). Parts of files, whose
keys their sources name, are a kind for each of these; the files themselves are kinds beside those of `Keys`.
"""

import inspect
import itertools
import re
from collections.abc import Iterator
from datetime import date
from functools import cache
from typing import Any

from ratchet.catalog import Pipeline, load, names
from ratchet.files.land import SEED
from ratchet.keys import Keys, source_archive
from ratchet.sources import MeterFiles, SensorFiles, TabularFiles

BATCH = "batch/"
"""Below it a person names the objects (docs/contracts.md, Scoring)."""
SENSOR_FILES, METER_FILES, DATASETS = "files of sensors", "files of meters", "files of records"
PREFIXES = ("", "other/")
"""Of a pipeline without a prefix, and of one with."""
SAMPLES: dict[Any, tuple[Any, ...]] = {
    str: ("2026-11-21T04-00-00Z",),
    int: (7,),
    date: (date(2026, 11, 21),),
    date | None: (date(2026, 11, 21), None),
}
"""Values of a parameter, by its type."""
BLANKS: dict[Any, tuple[Any, ...]] = {str: ("~",), int: (99_999_999,), date: (date.max,), date | None: (date.max, None)}
PARTS = {"hours": "dt=2026-11-21"} | dict.fromkeys(("readings", "records"), "file=0123456789abcdef")
"""By the table that a source of files lands in, how it names a part."""
PART = re.compile(r"landing/(hours|readings|records)/(rejected/)?(?:dt|file)=[^/]+\.(parquet|json)")
"""The key of what there is of a part: its table, whether rows were set aside, and what they are written as."""
ANYTHING = {"~": "[^/]+", "99999999": r"\d{8}", date.max.isoformat(): "[^/]+"}
"""What may stand in the place of a blank: no real key has one."""


def samples(prefix: str) -> dict[str, list[str]]:
    """Keys of every kind in the landing bucket, of the pipeline with that prefix."""
    found = {name: [_within(key) for key in keys] for name, keys in _made(prefix, SAMPLES).items()}
    for table, name in PARTS.items():
        ours = Keys(prefix)
        found |= {
            f"part of {table}": [ours.part(table, name)],
            f"document of {table}": [ours.part_document(table, name)],
        }
        # They lie among the other rows that were set aside.
        found["rejected"].append(ours.part_rejected(table, name))
    for kind, files in ((MeterFiles, METER_FILES), (TabularFiles, DATASETS)):
        found[files] = [f"{prefix}{folder}{name}" for folder in _folders(kind) for name in ("a.csv", SEED)]
    shared = {"source_archive": [source_archive("0123456789abcdef")], "batch": [_within(BATCH)]}
    return {**found, **shared}


def of_sensors() -> list[str]:
    """Keys of the files that sensors write, in the bucket that they write to."""
    places = ("date=2026-11-21/zone_id=z/equip_id=e/equip-1.json", SEED)
    return [f"{folder}{place}" for folder in _folders(SensorFiles) for place in places]


def kind_of(key: str) -> str:
    """The kind of a key, of a pipeline that there is or one without a prefix."""
    for kind, files in ((SensorFiles, SENSOR_FILES), (MeterFiles, METER_FILES), (TabularFiles, DATASETS)):
        if any(key.startswith(each.source.prefix) for each in _pipelines() if isinstance(each.source, kind)):
            return files
    plain = key.removeprefix(next((each.prefix for each in _pipelines() if key.startswith(each.prefix or "/")), ""))
    if part := PART.fullmatch(plain):
        table, aside, written = part.groups()
        return "rejected" if aside else f"{'part' if written == 'parquet' else 'document'} of {table}"
    (kind,) = (name for name, patterns in _patterns().items() if any(pattern.fullmatch(plain) for pattern in patterns))
    return kind


@cache
def _pipelines() -> list[Pipeline]:
    return [load(name) for name in names()]


def _folders(kind: type) -> list[str]:
    """Where the files of such sources lie, below the prefix of their pipeline if they do."""
    found = [each for each in _pipelines() if isinstance(each.source, kind)]
    return [each.source.prefix.removeprefix(each.prefix) for each in found]  # type: ignore[union-attr]


@cache
def _patterns() -> dict[str, list[re.Pattern[str]]]:
    keys = {**_made("", BLANKS), "source_archive": [source_archive("~")], "batch": [BATCH]}
    return {name: [_pattern(key) for key in each] for name, each in keys.items()}


def _pattern(key: str) -> re.Pattern[str]:
    text = re.escape(key) + (".+" if key.endswith("/") else "")
    for blank, anything in ANYTHING.items():
        text = text.replace(re.escape(blank), anything)
    return re.compile(text)


def _made(prefix: str, values: dict[Any, tuple[Any, ...]]) -> dict[str, list[str]]:
    """What each method of `Keys` makes of these values: a key, or the folder of all keys that a service writes below.

    Folders of keys that other methods make are no kinds of their own.
    """
    made = {name: keys for name, keys in _calls(Keys(prefix), values) if not name.startswith("part")}
    every = {key for keys in made.values() for key in keys}
    return {name: keys for name, keys in made.items() if not any(_holds(key, every) for key in keys)}


def _calls(keys: Keys, values: dict[Any, tuple[Any, ...]]) -> Iterator[tuple[str, list[str]]]:
    for name, method in inspect.getmembers(keys, inspect.ismethod):
        signature = inspect.signature(method)
        if signature.return_annotation is str:
            taken = [values[parameter.annotation] for parameter in signature.parameters.values()]
            yield name, [method(*arguments) for arguments in itertools.product(*taken)]


def _holds(folder: str, keys: set[str]) -> bool:
    return folder.endswith("/") and any(key != folder and key.startswith(folder) for key in keys)


def _within(key: str) -> str:
    return f"{key}made/by-a-service" if key.endswith("/") else key
