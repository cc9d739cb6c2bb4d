"""A loopback server of PostgREST's pages of `ai_outputs`, in a process of its own so that its cost is not the client's.

The embeddings of a thousand rows are rendered once; a page differs in its instants alone.
"""

import sys
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np

PAGE = 1000
STEP = timedelta(minutes=10)
START = datetime(2024, 1, 1, tzinfo=UTC)


def embeddings() -> list[str]:
    """The part of each row after its instant: two normed embeddings, as PostgreSQL prints float4."""
    pairs = np.random.default_rng(5).normal(size=(PAGE, 2, 256)).astype(np.float32)
    pairs /= np.linalg.norm(pairs, axis=2, keepdims=True)
    texts = [[",".join(str(number) for number in vector) for vector in pair] for pair in pairs]
    return [f',"embedding_a":[{a}],"embedding_b":[{b}]}}' for a, b in texts]


def instants(rows: int) -> list[str]:
    """The instant of every row, as PostgREST prints it."""
    return [(START + i * STEP).isoformat() for i in range(rows)]


def before(bound: str) -> int:
    """How many rows lie before an instant."""
    return max(0, -((START - datetime.fromisoformat(bound)) // STEP))


def until(bound: str) -> int:
    """How many rows lie before an instant or at it."""
    return max(0, (datetime.fromisoformat(bound) - START) // STEP + 1)


def serve(rows: int) -> None:
    """Serves `rows` rows until it is ended; prints the port first."""
    tails, keys = embeddings(), instants(rows)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = parse_qs(parts.query)
            bounds = dict(text.split(".", 1) for text in query.get("base_ts", []))
            first = until(bounds["gt"]) if "gt" in bounds else 0
            end = min(before(bounds["lt"]) if "lt" in bounds else rows, rows)
            found, limit = range(first, end), min(int(query["limit"][0]), PAGE)
            last = query.get("order", [""])[0].endswith(".desc")
            body = self.render(parts.path, query["select"][0], found[: -limit - 1 : -1] if last else found[:limit])
            self.send_response(200 if parts.path.endswith("ai_outputs") else 404)
            self.send_header("content-type", "application/json; charset=utf-8")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def render(self, path: str, columns: str, which: range) -> bytes:
            if not path.endswith("ai_outputs"):
                return b'{"code": "PGRST205", "message": "no such table"}'
            tail = (lambda i: "}") if columns == "base_ts" else (lambda i: tails[i % PAGE])
            return ("[" + ",\n ".join(f'{{"base_ts":"{keys[i]}"{tail(i)}' for i in which) + "]").encode()

        def log_message(self, format: str, *args: object) -> None:
            return None

    server = HTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
