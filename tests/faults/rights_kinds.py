"""Kinds of objects in the landing bucket: one for each method of `Keys` that makes a key, named as the method is.

A kind is known by its keys (`kind_of`), and stands for them in questions of rights (`samples`).
"""

import inspect
import itertools
import re
from collections.abc import Iterator
from datetime import date
from functools import cache
from typing import Any

from ratchet.keys import Keys, source_archive

BATCH = "batch/"
"""Below it a person names the objects (docs/contracts.md, Scoring)."""
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
ANYTHING = {"~": "[^/]+", "99999999": r"\d{8}", date.max.isoformat(): "[^/]+"}
"""What may stand in the place of a blank: no real key has one."""


def samples(prefix: str) -> dict[str, list[str]]:
    """Keys of every kind, of the pipeline with that prefix."""
    found = {name: [_within(key) for key in keys] for name, keys in _made(prefix, SAMPLES).items()}
    return {**found, "source_archive": [source_archive("0123456789abcdef")], "batch": [_within(BATCH)]}


def kind_of(key: str) -> str:
    """The kind of a key, of a pipeline without a prefix."""
    (kind,) = (name for name, patterns in _patterns().items() if any(pattern.fullmatch(key) for pattern in patterns))
    return kind


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
    made = dict(_calls(Keys(prefix), values))
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
