"""The command `ingest`: a file of records, checked here by the reader that lands it, put into the bucket and landed."""

import hashlib
import json
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from ratchet import catalog
from ratchet.errors import BadInput, SourceMismatch
from ratchet.instants import run_name, utc_now
from ratchet.sources import TabularFiles
from ratchet.store import Ambiguous, ObjectStore, PreconditionFailed
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from cli.buckets import empty
from cli.errors import INTERRUPTED, CommandError
from cli.executions import stop_command
from cli.follow import Follower, end_of
from cli.options import Session, command, pipeline_argument
from cli.seed import require_no_run

if TYPE_CHECKING:
    from ratchet.files.kind import Content
    from ratchet.tabular.kind import Source
    from ratchet.tabular.reader import Seen


@click.command()
@pipeline_argument
@click.option(
    "--csv",
    "path",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The records.",
)
@click.option("--replace", is_flag=True, help="Remove the datasets that are there first, such as those of a seed.")
@command
def ingest(session: Session, pipeline: str, path: Path, replace: bool) -> None:
    """Check a CSV file of PIPELINE's records, put it into the bucket, and follow it until it has landed.

    The same file again changes nothing. Exit code: 0 ingested or nothing changed; 1 failed; 2 the file cannot be used.
    """
    source = _source(pipeline)
    digest, content = _read(session, source, path)
    summary = _summary(content)
    _tell(session.output.err, path.name, summary)
    _refuse_bad(source, summary)
    _make_room(session, source, replace)
    key, store = source.key_of(digest), session.target.store
    before = _state(store, source, key)
    _upload(store, path, key)
    output = _landed(session, {"pipeline": pipeline, "key": key})
    changed = before[0] is None or before != _state(store, source, key)
    told = {"pipeline": pipeline, "key": key, "changed": changed, **summary, **output}
    session.output.show(told, lambda console: _end(console, told))


def _source(pipeline: str) -> "Source":
    loaded = catalog.load(pipeline)
    if not isinstance(loaded.source, TabularFiles):
        raise click.UsageError(f"The source of {pipeline} is of the kind {loaded.source.kind}, not files of records.")
    from ratchet.tabular.kind import Source

    return Source(loaded)


def _read(session: Session, source: "Source", path: Path) -> "tuple[str, Content]":
    """The file's SHA-256 and what it holds. Raises BadInput."""
    size = path.stat().st_size
    try:
        source.refuse_large(size, path.name)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        with _bar(session.output.err, path.name, size) as seen:
            return digest, source.content(path, path.name, utc_now(), seen)
    except SourceMismatch as error:
        raise BadInput(str(error)) from error


@contextmanager
def _bar(console: Console, name: str, size: int) -> Iterator["Seen"]:
    """A bar of the bytes that have been read; a plain line where there is no terminal."""
    if not console.is_terminal:
        console.print(f"Checking {name}", markup=False)
        yield lambda read: None
        return
    columns = TextColumn("Checking {task.description}", markup=False), BarColumn(), DownloadColumn()
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(name, total=size)
        yield lambda read: bar.advance(task, read)


def _summary(content: "Content") -> dict[str, Any]:
    about = content.about
    return {
        "records": content.records,
        "duplicates": content.ignored.get("duplicate", 0),
        "set_aside": dict(content.rejected),
        "groups": about["groups"],
        "positives": about["positives"],
    }


def _tell(console: Console, name: str, summary: dict[str, Any]) -> None:
    console.print(
        f"{name}: {summary['records']:,} records of {summary['groups']:,} groups, {summary['positives']:,} of them"
        f" positive; {summary['duplicates']:,} exact duplicates left out",
        markup=False,
    )
    for reason, count in sorted(summary["set_aside"].items(), key=lambda each: -each[1]):
        console.print(f"  set aside: {count:,} rows, {reason}", markup=False)


def _refuse_bad(source: "Source", summary: dict[str, Any]) -> None:
    """Raises BadInput where a run would refuse the file for its rows."""
    from ratchet.tables.contract import share

    most, bad = source.pipeline.data.max_bad_share, share(summary["set_aside"], summary["records"])
    if bad > most:
        raise BadInput(
            f"{bad:.1%} of the rows are no records of {source.pipeline.name}, {most:.1%} may be (data.max_bad_share): "
            "correct the file, or what source in pipeline.yaml says of it."
        )


def _make_room(session: Session, source: "Source", replace: bool) -> None:
    """Removes what is there where that is asked for; real records never join synthetic ones. Raises CommandError."""
    from ratchet.files.land import SEED, marker

    target, prefix = session.target, source.prefix
    if replace:
        require_no_run(target, source.pipeline.name)
        # The marker last: without it, what is left of a seed would be taken for real.
        files = [listed.key for listed in target.store.list(prefix) if listed.key != f"{prefix}{SEED}"]
        for root in (*files, prefix):
            empty(target.client("s3"), target.store.bucket, root)
        return
    seed = marker(target.store, prefix)
    if seed.synthetic:
        raise CommandError(
            f"What lies below {target.store.uri(prefix)} is synthetic ({seed.source}), and what is beside it counts as "
            "synthetic too: remove it with --replace."
        )


def _state(store: ObjectStore, source: "Source", key: str) -> tuple[str | None, str | None]:
    """Tags of what has landed of the file as it is, and of what says how much of it the feature group has."""
    from ratchet.files import part

    keys, name = source.pipeline.keys, source.name_of(key)
    document, ledger = store.head(keys.part_document(source.table, name)), store.head(keys.features(name))
    found = part.read(store, keys.part_document(source.table, name))
    sources = part.digest(source.files_of(store, name), source.reads)
    current = document is not None and part.is_current(store, keys, source.table, found, sources)
    return document.etag if document and current else None, ledger.etag if ledger else None


def _upload(store: ObjectStore, path: Path, key: str) -> None:
    """The key says what the file holds, so whoever put it there put the same."""
    try:
        store.upload(path, key, if_none_match=True)
    except PreconditionFailed:
        return
    except Ambiguous:
        if store.head(key) is None:
            raise


def _landed(session: Session, document: dict[str, str]) -> dict[str, Any]:
    """The output of the machine that lands the file, once it has ended. Raises CommandError where it failed."""
    states, machine = session.target.client("stepfunctions"), session.target.output("IngestMachineArn")
    name = f"cli-{run_name(utc_now())}-{secrets.token_hex(3)}"
    execution = states.start_execution(stateMachineArn=machine, name=name, input=json.dumps(document))["executionArn"]
    try:
        ended = Follower(states, execution).wait(session.output.err)
    except KeyboardInterrupt:
        stop = stop_command(execution)
        session.output.err.print(f"No longer following; it goes on landing. To stop it: {stop}", markup=False)
        sys.exit(INTERRUPTED)
    told = end_of(ended)
    if told["outcome"] == "failed":
        raise CommandError(f"{execution} failed: {told['error']}: {told['reason']}")
    return told


def _end(console: Console, told: dict[str, Any]) -> None:
    if not told["changed"]:
        console.print(f"{told['pipeline']}: nothing changed, the file had been ingested before")
        return
    written = f", {told['written']:,} in the feature group {told['feature_group']}" if told.get("written") else ""
    console.print(f"{told['pipeline']}: {told['records']:,} records ingested{written}")
    console.print(f"[dim]{told['key']}   ratchet run {told['pipeline']}[/]")
