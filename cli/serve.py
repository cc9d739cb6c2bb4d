"""The command `serve`: the HTTP API of the target on loopback, answered by the very function that is deployed."""

import sys
from contextlib import suppress
from functools import partial

import click
from ratchet.api.paths import METHODS
from rich.console import Console

from cli.errors import CommandError
from cli.gateway import Gateway
from cli.models import invoke
from cli.options import Session, command


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
    target.client("lambda")
    try:
        gateway = Gateway(port, partial(invoke, target, "ApiFunction"))
    except OSError as error:
        raise CommandError(f"Port {port} cannot be had ({error.strerror}); name another one with --port.") from error
    routes = [f"{method} {path}" for path, method in METHODS.items()]

    def render(console: Console) -> None:
        console.print(f"[green]Serving[/] {gateway.address} (Ctrl-C ends it)", soft_wrap=True)
        for route in routes:
            console.print(f"  {route}")

    with gateway, suppress(KeyboardInterrupt):
        session.output.show({"address": gateway.address, "routes": routes}, render)
        sys.stdout.flush()
        gateway.serve_forever()
