"""How results reach a person or a program: rich text on the terminal, or one JSON document with `--json`."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.status import Status

Render = Callable[[Console], None]
Progress = Callable[[str], None]


@dataclass
class Output:
    """Where a command's result and its progress go. With `json`, only the document goes to standard output."""

    json: bool = False
    out: Console = field(default_factory=lambda: Console(highlight=False))
    err: Console = field(default_factory=lambda: Console(stderr=True, highlight=False))

    def show(self, document: Any, render: Render) -> None:
        """Prints a result: the document itself, or what `render` makes of it."""
        if self.json:
            print(json.dumps(document, indent=2, ensure_ascii=False, default=str))
        else:
            render(self.out)

    @contextmanager
    def working(self, text: str) -> Iterator[Progress]:
        """A spinner with the latest line of progress; plain lines where there is no terminal."""
        if self.err.is_terminal:
            with Status(text, console=self.err) as status:
                yield status.update
        else:
            self.err.print(text)
            yield self.err.print


def duration(seconds: float) -> str:
    """Seconds as a person says them: `0.4 s`, `12 s`, `3 min 05 s`, `2 h 10 min`, `4 d 3 h`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"
