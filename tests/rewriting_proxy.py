"""A proxy on loopback in front of the local Supabase that changes what it answers."""

import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Rewrite = Callable[[bytes], tuple[bytes, str]]
"""From the body that Supabase answers to the body and the content type that the client gets."""
PASSED_ON = ("apikey", "authorization", "accept")


@contextmanager
def rewriting(upstream: str, rewrite: Rewrite) -> Iterator[str]:
    """Serves until the block ends; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers = {name: self.headers[name] for name in PASSED_ON if name in self.headers}
            try:
                with urllib.request.urlopen(urllib.request.Request(upstream + self.path, headers=headers)) as answer:
                    status, body = answer.status, answer.read()
            except urllib.error.HTTPError as error:
                with error:
                    status, body = error.code, error.read()
            body, kind = rewrite(body)
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
