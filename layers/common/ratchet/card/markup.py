"""HTML and SVG as strings that cannot be forgotten to be escaped: plain text is always escaped, `Markup` never."""

from collections.abc import Iterable
from html import escape

_VOID = {"br", "col", "meta"}
_CLOSED = {"circle", "line", "path", "rect"}


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


Content = str | Iterable["Content"] | None


def tag(name: str, *content: Content, **attributes: str | float | None) -> Markup:
    """An element. `class_` stands for class, `aria_label` for aria-label; an attribute that is None is left out."""
    named = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items() if value is not None}
    opening = "".join(f' {key}="{escape(_text(value))}"' for key, value in named.items())
    if name in _VOID:
        return Markup(f"<{name}{opening}>")
    if name in _CLOSED and not content:
        return Markup(f"<{name}{opening}/>")
    return Markup(f"<{name}{opening}>{join(*content)}</{name}>")


def join(*content: Content) -> Markup:
    """Content one after the other."""
    return Markup("".join(_flat(content)))


def _flat(content: Iterable[Content]) -> Iterable[str]:
    for part in content:
        if isinstance(part, str):
            yield part if isinstance(part, Markup) else escape(part, quote=False)
        elif part is not None:
            yield from _flat(part)


def _text(value: str | float) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
