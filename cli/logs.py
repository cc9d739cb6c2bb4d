"""The command `logs`: what the functions said, in order, as lines a person reads."""

import json
import re
import time
from datetime import UTC, datetime
from typing import Any

import click
from ratchet.instants import iso
from rich.console import Console
from rich.text import Text

from cli.errors import CommandError
from cli.options import Session, command

COMMON = {"level", "location", "message", "timestamp", "service", "xray_trace_id", "cold_start", "function_name"}
NOISE = {*COMMON, "function_memory_size", "function_arn", "function_request_id", "exception", "exception_name"}
FAILED = "[ERROR] "
STREAM = re.compile(r"\d{4}/\d\d/\d\d/([^\[]+)\[.*")
"""A stream of a group that functions share names the function; the laptop target's leave that out."""
COLOURS = {"ERROR": "red", "CRITICAL": "red", "WARNING": "yellow"}


@click.command()
@click.argument("function", metavar="[FUNCTION]", required=False)
@click.option("--since", default=60, show_default=True, metavar="MINUTES", help="How far back.")
@click.option("--run", "run_ts", metavar="RUN", help="Only lines of this run.")
@command
def logs(session: Session, function: str | None, since: int, run_ts: str | None) -> None:
    """Show what the functions logged: all of them, or one FUNCTION (the name of its folder)."""
    start = int((time.time() - 60 * since) * 1000)
    lines = [line for line in _lines(session, start, run_ts) if function is None or line["function"] == function]
    if function and not lines:
        known = ", ".join(sorted({line["function"] for line in _lines(session, start, None)} - {""})) or "nobody"
        raise CommandError(f"'{function}' logged nothing in the last {since} minutes; these did: {known}.")
    session.output.show(lines, lambda console: _print(console, lines))


def _lines(session: Session, start: int, run_ts: str | None) -> list[dict[str, Any]]:
    arguments: dict[str, Any] = {"logGroupName": session.target.output("FunctionLogGroup"), "startTime": start}
    if run_ts:
        arguments["filterPattern"] = f'"{run_ts}"'
    pages = session.target.client("logs").get_paginator("filter_log_events").paginate(**arguments)
    lines = [_line(event) for page in pages for event in page["events"]]
    return sorted((line for line in lines if line), key=lambda line: str(line["at"]))


def _line(event: dict[str, Any]) -> dict[str, Any] | None:
    """A function's own line, or its error; Lambda's START, END and REPORT say nothing that the others do not."""
    if event["message"].startswith(FAILED):
        return _failure(event)
    try:
        document = json.loads(event["message"])
    except ValueError:
        return None
    if not isinstance(document, dict) or "function_name" not in document:
        return None
    return {
        "at": _at(event),
        "level": document.get("level", "INFO"),
        "function": folder_of(document["function_name"]),
        "message": document.get("message"),
        "fields": {name: value for name, value in document.items() if name not in NOISE},
        "exception": document.get("exception"),
    }


def _failure(event: dict[str, Any]) -> dict[str, Any]:
    """What the runtime writes of an exception that ended a call: its name and text, then where it was."""
    message, *trace = event["message"].removeprefix(FAILED).splitlines()
    named = STREAM.fullmatch(event.get("logStreamName", ""))
    function = folder_of(named[1]) if named else ""
    return {
        **{"at": _at(event), "level": "ERROR", "function": function, "message": message, "fields": {}},
        "exception": "\n".join(trace) or None,
    }


def _at(event: dict[str, Any]) -> str:
    return iso(datetime.fromtimestamp(event["timestamp"] / 1000, UTC))


def folder_of(name: str) -> str:
    """The folder of a deployed function: `ratchet-TakeLeaseFunction-1a2b` comes from `take_lease`."""
    middle = next((part for part in name.split("-") if part.endswith("Function")), name).removesuffix("Function")
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in middle).lstrip("_")


def _print(console: Console, lines: list[dict[str, Any]]) -> None:
    for line in lines:
        fields = "  ".join(f"{name}={value}" for name, value in line["fields"].items())
        colour = COLOURS.get(line["level"], "default")
        head = Text.assemble((line["at"][:19], "dim"), " ", (f"{line['function']:<18}", "cyan"), " ")
        console.print(head + Text(str(line["message"]), colour) + Text(f"  {fields}", "dim"), soft_wrap=True)
        if line["exception"]:
            console.print(Text(line["exception"], "red"))
    if not lines:
        console.print("Nothing was logged in that time.")
