"""The container's contract around a bundle's code, without the process: what it installs, loads and answers."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from local.endpoint_process import Handlers, load, status


class UnsupportedFormatError(Exception):
    """As AWS's toolkit calls it."""


class Teapot(ValueError):
    status_code = 418


class Refused(ValueError):
    status = 406


@pytest.mark.parametrize(
    ("error", "step", "expected"),
    [
        (ValueError("bad"), "predict_fn", 500),
        (Teapot("bad"), "input_fn", 418),
        (Refused("bad"), "output_fn", 406),
        (KeyError("bug"), "input_fn", 500),
        (UnsupportedFormatError("type"), "input_fn", 415),
        (UnsupportedFormatError("type"), "output_fn", 406),
        (UnsupportedFormatError("type"), "predict_fn", 500),
    ],
)
def test_an_exception_has_the_status(error: Exception, step: str, expected: int) -> None:
    assert status(error, step) == expected


def handlers(output: Any) -> Handlers:
    module: Any = SimpleNamespace(
        model_fn=lambda folder: folder,
        input_fn=lambda body, content_type: (body, content_type),
        predict_fn=lambda data, model: (*data, model),
        output_fn=output,
    )
    return Handlers(module, Path("folder"))


def test_body_types_and_model_go_through_the_four_functions() -> None:
    seen: list[Any] = []
    asked = handlers(lambda prediction, accept: seen.append((prediction, accept)) or "said")
    assert asked.invoke(b"b", "text/csv", "text/plain") == (200, "text/plain", b"said")
    assert seen == [((b"b", "text/csv", "folder"), "text/plain")]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (b"said", (200, "a/b", b"said")),
        (("said", "c/d"), (200, "c/d", b"said")),
        (7, (500, "text/plain", b"output_fn gave int, neither text nor bytes.")),
    ],
)
def test_an_answer_is_a_body_or_a_body_with_its_type(given: Any, expected: tuple[int, str, bytes]) -> None:
    assert handlers(lambda prediction, accept: given).invoke(b"", "a/b", "a/b") == expected


def test_a_program_lacking_functions_is_refused_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "inference.py").write_text("def model_fn(folder): ...\ndef predict_fn(data, model): ...\n")
    with pytest.raises(RuntimeError, match="lacks input_fn, output_fn"):
        load(tmp_path, "inference.py")
