"""The command `serve`: the HTTP API of the target on loopback, answered by the very function that is deployed."""

import sys
from contextlib import suppress
from functools import partial
from typing import Any

import click
from ratchet.api.paths import METHODS
from ratchet.registry.link import PATH
from rich.console import Console

from cli.errors import CommandError
from cli.gateway import Gateway
from cli.models import invoke
from cli.options import Session, command
from cli.targets import Target

APPROVALS = f"{PATH}/{{pipeline}}/{{run}}"


@click.command()
@click.option(
    "--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="Where to listen; 0: a free port."
)
@command
def serve(session: Session, port: int) -> None:
    """Serve the HTTP API on 127.0.0.1 until Ctrl-C, with the rights of whoever runs it.

    Each request is handed to the deployed function, as API Gateway does.
    """
    target = session.target
    # Before requests come, several at a time.
    target.output("ApiFunction")
    target.output("ApprovalPageFunction")
    target.client("lambda")
    try:
        gateway = Gateway(port, partial(_answer, target))
    except OSError as error:
        raise CommandError(f"Port {port} cannot be had ({error.strerror}); name another one with --port.") from error
    routes = [f"{method} {path}" for path, method in METHODS.items()]
    routes += [f"{method} {APPROVALS}" for method in ("GET", "POST")]

    def render(console: Console) -> None:
        console.print(f"[green]Serving[/] {gateway.address} (Ctrl-C ends it)", soft_wrap=True)
        for route in routes:
            console.print(f"  {route}")

    with gateway, suppress(KeyboardInterrupt):
        session.output.show({"address": gateway.address, "routes": routes}, render)
        sys.stdout.flush()
        gateway.serve_forever()


def _answer(target: Target, event: dict[str, Any]) -> Any:
    """The function's that API Gateway would hand it to."""
    method, rest = event["requestContext"]["http"]["method"], event["rawPath"].removeprefix(f"{PATH}/").split("/")
    if event["rawPath"] != f"{PATH}/{'/'.join(rest)}" or len(rest) != 2 or method not in {"GET", "POST"}:
        return invoke(target, "ApiFunction", event)
    named = {"routeKey": f"{method} {APPROVALS}", "pathParameters": {"pipeline": rest[0], "run": rest[1]}}
    return invoke(target, "ApprovalPageFunction", {**event, **named})
