"""Options that commands share, and the object they become."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, wraps
from typing import Any

import click
from ratchet import catalog

from cli import targets
from cli.errors import exit_codes
from cli.output import Output


@dataclass
class Session:
    """What every command gets first: where it acts and how it answers."""

    target_name: str
    stack: str | None
    output: Output = field(default_factory=Output)
    given: targets.Target | None = None
    """A target that is connected already: what a caller hands over as Click's context object."""

    @cached_property
    def target(self) -> targets.Target:
        """The target, connected when first used."""
        if self.given:
            return self.given
        return targets.laptop() if self.target_name == "laptop" else targets.aws(self.stack)


def command(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds `--target`, `--stack` and `--json`, hands over a Session, and turns errors into exit codes."""
    return click.option("--json", "as_json", is_flag=True, help="Answer with one JSON document.")(reached(function))


def reached(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same without `--json`, for commands that mean something else by it."""

    @click.option("--target", type=click.Choice(["laptop", "aws"]), default="laptop", show_default=True, help="Where.")
    @click.option("--stack", metavar="NAME", help="The stack's name, with --target aws.")
    @wraps(function)
    def wrapper(target: str, stack: str | None, as_json: bool = False, **arguments: Any) -> Any:
        with exit_codes():
            if stack and target == "laptop":
                raise click.UsageError("--stack goes with --target aws; the laptop target has one stack.")
            given = click.get_current_context().obj
            return function(Session(target, stack, Output(as_json), given), **arguments)

    return wrapper


def pipeline_argument(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the argument PIPELINE, checked and completed from the catalog."""
    return click.argument("pipeline", metavar="PIPELINE", type=click.Choice(catalog.names()))(function)
