"""The command `score`: rows from the command line or a JSON Lines file, answered by the deployed scorer."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from ratchet.catalog import load
from ratchet.errors import BadInput
from ratchet.store import ObjectStore
from rich.console import Console
from rich.table import Table

from cli.errors import CommandError
from cli.follow import Follower, end_of
from cli.models import invoke
from cli.options import Session, command, pipeline_argument

DIRECT_BYTES = 4 << 20
"""Files up to this size travel in one invocation (Lambda takes 6 MB); larger ones go to the batch machine."""


@click.command()
@pipeline_argument
@click.option("--base-ts", metavar="INSTANT", help="The row's instant.")
@click.option("--embedding-a", metavar="JSON", help="256 numbers.")
@click.option("--embedding-b", metavar="JSON", help="256 numbers.")
@click.option(
    "--jsonl", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A file of rows, one a line."
)
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the answers there as JSON Lines."
)
@command
def score(
    session: Session,
    pipeline: str,
    base_ts: str | None,
    embedding_a: str | None,
    embedding_b: str | None,
    jsonl: Path | None,
    output: Path | None,
) -> None:
    """Score rows with the model in service.

    Without rows it scores every slot that is due, as the schedule does.
    """
    row = {"base_ts": base_ts, "embedding_a": embedding_a, "embedding_b": embedding_b}
    if jsonl and any(row.values()):
        raise BadInput("Give either --jsonl or a single row, not both.")
    if jsonl and jsonl.stat().st_size > DIRECT_BYTES:
        _batch(session, pipeline, jsonl, output or jsonl.with_suffix(".predictions.jsonl"))
    elif jsonl:
        _answer(session, invoke(session.target, "ScoreFunction", {"pipeline": pipeline, "rows": _rows(jsonl)}), output)
    elif any(row.values()):
        _answer(session, invoke(session.target, "ScoreFunction", {"pipeline": pipeline, "rows": [_row(row)]}), output)
    else:
        _slots(session, pipeline)


def _row(row: dict[str, str | None]) -> dict[str, Any]:
    missing = [f"--{name.replace('_', '-')}" for name, value in row.items() if value is None]
    if missing:
        raise BadInput(f"A single row needs {', '.join(missing)} too.")
    embeddings = {name: _numbers(name, text or "") for name, text in row.items() if name != "base_ts"}
    return {"base_ts": row["base_ts"], **embeddings}


def _numbers(name: str, text: str) -> list[float]:
    try:
        values = json.loads(text)
    except ValueError as error:
        raise BadInput(f"--{name.replace('_', '-')} is not JSON ({error}); give a list such as [0.1, …].") from error
    if not isinstance(values, list):
        raise BadInput(f"--{name.replace('_', '-')} must be a JSON list of numbers.")
    return values


def _rows(path: Path) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            raise BadInput(f"{path}, line {number} is not JSON ({error}).") from error
    if not rows:
        raise BadInput(f"{path} has no rows.")
    return rows


def _answer(session: Session, answers: list[dict[str, Any]], output: Path | None) -> None:
    if output:
        output.write_text("".join(f"{json.dumps(answer)}\n" for answer in answers), encoding="utf-8")
        told = {"rows": len(answers), "output": str(output)}
        session.output.show(told, lambda console: console.print(f"{len(answers)} rows → {output}"))
        return
    session.output.show(answers, lambda console: _print(console, answers))


def _print(console: Console, answers: list[dict[str, Any]]) -> None:
    targets = list(answers[0]["pred"])
    table = Table("base_ts", *targets, box=None, header_style="dim")
    for answer in answers:
        table.add_row(answer.get("base_ts", ""), *(f"{answer['pred'][target]:+.3f}" for target in targets))
    console.print(table)
    console.print(f"[dim]model of run {answers[0]['model_run_ts']}[/]")


def _slots(session: Session, pipeline: str) -> None:
    result = invoke(session.target, "ScoreFunction", {"pipeline": pipeline})

    def render(console: Console) -> None:
        scored = result["scored"]
        console.print(f"{len(scored)} slots scored" + (f", the last {scored[-1]}" if scored else ""))
        console.print(f"predictions: {session.target.store.uri(load(pipeline).keys.predictions_root())}")
        console.print(f"[dim]model of run {result['model_run_ts']}[/]")

    session.output.show(result, render)


def _batch(session: Session, pipeline: str, source: Path, output: Path) -> None:
    """Uploads the file, runs the batch machine over it, and joins the parts it wrote."""
    store, states = session.target.store, session.target.client("stepfunctions")
    key = f"batch/{secrets.token_hex(8)}"
    with session.output.working(f"Uploading {source}"):
        store.upload(source, f"{key}/input.jsonl")
    document = {
        "pipeline": pipeline,
        "input_uri": store.uri(f"{key}/input.jsonl"),
        "output_uri": store.uri(f"{key}/output/"),
    }
    machine = session.target.output("ScoreBatchMachineArn")
    execution = states.start_execution(stateMachineArn=machine, input=json.dumps(document))["executionArn"]
    ended = end_of(Follower(states, execution).wait(session.output.err))
    if ended["outcome"] == "failed":
        raise CommandError(f"The batch {execution} failed: {ended['error']}: {ended['reason']}")
    rows = _join(store, f"{key}/output/", output)
    told = {"rows": rows, "output": str(output), "execution": execution}
    session.output.show(told, lambda console: console.print(f"{rows:,} rows → {output}"))


def _join(store: ObjectStore, prefix: str, output: Path) -> int:
    rows = 0
    with output.open("wb") as file:
        for part in _parts(store, prefix):
            rows += part.count(b"\n")
            file.write(part)
    return rows


def _parts(store: ObjectStore, prefix: str) -> Iterator[bytes]:
    for listed in store.list(prefix):
        stored = store.get(listed.key)
        if stored is not None:
            yield stored.body
