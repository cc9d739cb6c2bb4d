"""One endpoint's container as a process: the SageMaker inference toolkit's contract around a bundle's own code.

It unpacks `model.tar.gz`, imports `code/inference.py` and answers on loopback: GET /ping once the model is loaded, POST
/invocations by `model_fn(model_dir)`, `input_fn(body, content_type)`, `predict_fn(data, model)` and
`output_fn(prediction, accept)`, whose answer is a body or a pair of body and content type. All four must be there.

An exception is answered by its `status_code`, as the toolkit's errors have one, or its `status`; else the toolkit's
UnsupportedFormatError by 415 from `input_fn` and 406 from `output_fn`, any other by 500. The body is its text.

Boundary: runs alone on the Python of the endpoints, so it imports the standard library and nothing of ours.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import tarfile
import threading
import traceback
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

JSON = "application/json"
_FUNCTIONS = ("model_fn", "input_fn", "predict_fn", "output_fn")
_CODE = "/opt/ml/model/code"
_REFUSED = {"input_fn": 415, "output_fn": 406}

Reply = tuple[int, str, bytes]


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a bundle. Raises tarfile.TarError for no archive, or one that leaves its folder."""
    with tarfile.open(archive, "r:gz") as opened:
        opened.extractall(folder, filter="data")


def load(code: Path, program: str) -> ModuleType:
    """The bundle's program as a module. Raises RuntimeError where it or one of the four functions is missing."""
    spec = importlib.util.spec_from_file_location("inference", code / program)
    if spec is None or spec.loader is None or not (code / program).is_file():
        raise RuntimeError(f"The bundle has no code/{program}.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    missing = [name for name in _FUNCTIONS if not hasattr(module, name)]
    if missing:
        raise RuntimeError(f"code/{program} lacks {', '.join(missing)}.")
    return module


class Handlers:
    """The bundle's functions with its model loaded; one request at a time."""

    def __init__(self, module: ModuleType, folder: Path) -> None:
        """Loads the model; whatever `model_fn` raises goes through."""
        self._module, self._model = module, module.model_fn(str(folder))
        self._lock = threading.Lock()

    def invoke(self, body: bytes, content_type: str, accept: str) -> Reply:
        """Status, content type and body of the answer to one request."""
        steps: tuple[tuple[str, Callable[[Any], Any]], ...] = (
            ("input_fn", lambda data: self._module.input_fn(data, content_type)),
            ("predict_fn", lambda data: self._module.predict_fn(data, self._model)),
            ("output_fn", lambda data: self._module.output_fn(data, accept)),
        )
        value: Any = body
        with self._lock:
            for name, step in steps:
                try:
                    value = step(value)
                except Exception as error:
                    traceback.print_exc()
                    return status(error, name), "text/plain", str(error).encode()
        said, kind = value if isinstance(value, tuple) else (value, accept)
        said = said.encode() if isinstance(said, str) else said
        if not isinstance(said, bytes):
            return 500, "text/plain", f"output_fn gave {type(said).__name__}, neither text nor bytes.".encode()
        return 200, kind, said


def status(error: Exception, step: str) -> int:
    """The HTTP status of an exception that the function called `step` has raised."""
    own = getattr(error, "status_code", getattr(error, "status", None))
    if isinstance(own, int):
        return own
    if type(error).__name__ == "UnsupportedFormatError":
        return _REFUSED.get(step, 500)
    return 500


def server(handlers: Handlers) -> ThreadingHTTPServer:
    """A server on a free loopback port."""

    class Endpoint(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._reply(200 if self.path == "/ping" else 404, "text/plain", b"")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path != "/invocations":
                return self._reply(404, "text/plain", b"")
            accept = self.headers.get("Accept", "*/*")
            accept = os.environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", JSON) if accept == "*/*" else accept
            return self._reply(*handlers.invoke(body, self.headers.get("Content-Type", JSON), accept))

        def _reply(self, code: int, kind: str, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *about: Any) -> None:
            """The log is the bundle's own."""

    return ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)


def main() -> None:
    """Make the bundle ready, then serve; the port goes into a file, by which the starter knows it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--archive", type=Path, required=True, help="model.tar.gz")
    parser.add_argument("--folder", type=Path, required=True, help="where to unpack")
    parser.add_argument("--port-file", type=Path, required=True, help="written when the endpoint answers")
    given = parser.parse_args()
    if os.environ.get("SAGEMAKER_SUBMIT_DIRECTORY", _CODE) != _CODE:
        sys.exit(f"SAGEMAKER_SUBMIT_DIRECTORY must be {_CODE}: the laptop target serves the bundle's own code.")
    model, code = given.folder / "model", given.folder / "model/code"
    unpack(given.archive, model)
    if (code / "requirements.txt").exists():
        sys.exit("code/requirements.txt: the laptop target installs nothing; put what is needed into the bundle.")
    sys.path.insert(0, str(code))
    handlers = Handlers(load(code, os.environ.get("SAGEMAKER_PROGRAM", "inference.py")), model)
    with server(handlers) as serving:
        part = given.port_file.with_suffix(".part")
        part.write_text(str(serving.server_address[1]))
        part.rename(given.port_file)
        serving.serve_forever()


if __name__ == "__main__":
    main()
