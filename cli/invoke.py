"""The command `invoke`: asks the endpoint of a pipeline, and prints what it answers."""

import json
import sys
from pathlib import Path
from typing import Any

import click
from botocore.exceptions import ClientError
from ratchet import catalog
from ratchet.endpoint.hosting import endpoint_name
from ratchet.errors import BadInput
from rich.console import Console
from rich.table import Table

from cli.errors import CommandError
from cli.options import Session, pipeline_argument, reached

JSON, CSV = "application/json", "text/csv"


@click.command()
@pipeline_argument
@click.option(
    "--json", "json_text", metavar="JSON", help="A row, or a list of rows: objects of fields; @FILE reads one."
)
@click.option("--csv", "csv_text", metavar="CSV", help="Lines of values, with or without a first line of names; @FILE.")
@click.option("--table", is_flag=True, help="Show the answers as a table instead of JSON.")
@reached
def invoke(session: Session, pipeline: str, json_text: str | None, csv_text: str | None, table: bool) -> None:
    """Ask the endpoint of a PIPELINE: probabilities, which run's model answered, and fields it did not know."""
    if (json_text is None) == (csv_text is None):
        raise BadInput("Give --json or --csv, one of them.")
    if not catalog.load(pipeline).serving.endpoint:
        raise BadInput(f"{pipeline} has no endpoint; ask its model with `ratchet score {pipeline}`.")
    body, kind = (_text(json_text), JSON) if json_text is not None else (_text(csv_text or ""), CSV)
    answer = _ask(session, endpoint_name(session.target.stack, pipeline), body, kind)
    session.output.json = not table
    session.output.show(answer, lambda console: _show(console, answer))


def _text(given: str) -> str:
    if not given.startswith("@"):
        return given
    if given == "@-":
        return sys.stdin.read()
    try:
        return Path(given[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{given[1:]} cannot be read: {error}.") from error


def _ask(session: Session, endpoint: str, body: str, kind: str) -> Any:
    try:
        answer = session.target.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=endpoint, Body=body.encode(), ContentType=kind, Accept=JSON
        )
    except ClientError as error:
        told = error.response
        if told["Error"]["Code"] == "ModelError" and 400 <= int(told.get("OriginalStatusCode", 500)) < 500:
            # The toolkit adds a traceback to its sentence.
            said = str(told.get("OriginalMessage") or told["Error"]["Message"])
            raise BadInput(said.partition("\n")[0]) from error
        raise CommandError(f"The endpoint {endpoint} gives no answer: {told['Error']['Message']}") from error
    return json.loads(answer["Body"].read())


def _show(console: Console, answer: Any) -> None:
    rows = answer["predictions"]
    shown = Table("probability", "model of run", "unknown", box=None, header_style="dim")
    for row in rows:
        shown.add_row(f"{row['probability']:.4f}", row["model_run_ts"], ", ".join(row["unknown"]))
    console.print(shown)
