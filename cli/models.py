"""Commands about models: `status`, `history`, `rollback`, `card`."""

import getpass
import json
import webbrowser
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from ratchet import catalog, claim, errors, lease, pointer
from ratchet.catalog import Pipeline
from ratchet.errors import UnknownRun
from ratchet.instants import parse_instant, utc_now
from ratchet.keys import Keys
from ratchet.registry import approval
from ratchet.registry.package import registration
from ratchet.store import ObjectStore, decode
from rich.console import Console
from rich.table import Table

from cli.errors import CommandError
from cli.follow import Follower, end_of
from cli.landed import landed, told
from cli.options import Session, command, pipeline_argument
from cli.output import duration
from cli.targets import Target
from local.paths import default_paths


@click.command()
@command
def status(session: Session) -> None:
    """Show each pipeline: its champion, its last run, its data, and who holds the lease."""
    rows = [_status(session.target, name) for name in catalog.names()]
    session.output.show(rows, lambda console: _show_status(console, rows))


@click.command()
@pipeline_argument
@command
def history(session: Session, pipeline: str) -> None:
    """Show every model that was put into service, the present one first, with who moved it and why."""
    entries = list(pointer.history(session.target.store, catalog.load(pipeline).keys))
    rows = [{**asdict(entry.pointer), "who": entry.who, "why": entry.why} for entry in entries]

    def render(console: Console) -> None:
        table = Table("", "#", box=None, header_style="dim")
        for title in ("model of run", "moved at", "by"):
            table.add_column(title, no_wrap=True)
        table.add_column("why", overflow="fold")
        for position, row in enumerate(rows):
            by = row["who"] if row["move"] == "rollback" else "the gate"
            mark = "[green]▶[/]" if position == 0 else ""
            table.add_row(mark, str(row["seq"]), row["run_ts"], f"{row['updated_at'][:19]}Z", by, row["why"])
        console.print(table if rows else f"No model of {pipeline} was promoted yet; run `ratchet run {pipeline}`.")

    session.output.show(rows, render)


@click.command()
@pipeline_argument
@click.option("--to", "to", metavar="RUN", help="The run whose model goes back into service (default: the one before).")
@click.option("--why", required=True, metavar="TEXT", help="The reason; it stands in the history.")
@command
def rollback(session: Session, pipeline: str, to: str | None, why: str) -> None:
    """Put an earlier model back into service, after checking that it still loads and answers as it did."""
    champion = pointer.read(session.target.store, catalog.load(pipeline).keys)
    # Which model it is that shall go: asked again after a lost answer, the function then goes back no further.
    event = {"of": champion[0].run_ts if champion else None, "to": to, "why": why, "who": getpass.getuser()}
    result = invoke(session.target, "RollbackFunction", {"pipeline": pipeline, **event})
    if catalog.load(pipeline).serving.endpoint:
        result["endpoint"] = _endpoint_follows(session, pipeline, result["to_run_ts"])

    def render(console: Console) -> None:
        console.print(f"[green]Rolled back[/] {pipeline}: {result['from_run_ts']} → {result['to_run_ts']}")

    session.output.show(result, render)


@click.command()
@pipeline_argument
@click.argument("run_ts", metavar="[RUN]", required=False)
@click.option("--open", "open_it", is_flag=True, help="Open it in the browser.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Where to write the page.")
@command
def card(session: Session, pipeline: str, run_ts: str | None, open_it: bool, output: Path | None) -> None:
    """Fetch the report card of a RUN (default: the newest) and print its path."""
    keys, store = catalog.load(pipeline).keys, session.target.store
    run_ts = run_ts or _newest_card(session.target, pipeline)
    if store.head(keys.card(run_ts)) is None:
        raise UnknownRun(f"Run {run_ts} of {pipeline} has no card; `ratchet status` names the last run.")
    path = output or default_paths().root / "cards" / f"{pipeline}-{run_ts}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    store.download(keys.card(run_ts), path)
    if open_it:
        webbrowser.open(path.resolve().as_uri())
    session.output.show(
        {"path": str(path.resolve())}, lambda console: console.print(str(path.resolve()), soft_wrap=True)
    )


def _endpoint_follows(session: Session, pipeline: str, run_ts: str) -> str:
    """The endpoint's name, once it serves the champion. Raises CommandError where it does not."""
    states, machine = session.target.client("stepfunctions"), session.target.output("DeploymentMachineArn")
    document = json.dumps({"pipeline": pipeline, "run_ts": run_ts, "champion": True})
    execution = states.start_execution(stateMachineArn=machine, input=document)["executionArn"]
    told = end_of(Follower(states, execution).wait(session.output.err))
    if told["outcome"] != "in_service":
        named = f"The pointer names {run_ts}, but its endpoint does not serve it"
        raise CommandError(f"{named}: {told['reason']} Mend it and roll back again.")
    return str(told["endpoint"])


def invoke(target: Target, output: str, event: dict[str, Any]) -> Any:
    """Calls a function of the stack and returns its answer; its errors come back as Ratchet's own classes."""
    answer = target.client("lambda").invoke(FunctionName=target.output(output), Payload=json.dumps(event).encode())
    document = json.loads(answer["Payload"].read())
    if "FunctionError" not in answer:
        return document
    kind = getattr(errors, str(document.get("errorType")), CommandError)
    message = str(document.get("errorMessage") or document)
    if not issubclass(kind, errors.RatchetError):
        kind = CommandError
    raise kind(message)


def _status(target: Target, name: str) -> dict[str, Any]:
    pipeline, store = catalog.load(name), target.store
    champion, held = pointer.read(store, pipeline.keys), lease.read(store, pipeline.keys)
    newest = max((row.key for row in store.list(f"{pipeline.prefix}runs/")), default=None)
    run = newest.rpartition("/")[2].removesuffix(".json") if newest else None
    standing = claim.read(store, pipeline.keys, run) if run else None
    data = store.get(pipeline.keys.train_latest())
    asked = _approval(store, pipeline, run) if run and pipeline.serving.endpoint else None
    return {
        "pipeline": name,
        "champion": asdict(champion[0]) if champion else None,
        "last_run": asdict(standing[0]) if standing else None,
        "approval": asked,
        "lease": asdict(held[0]) if held else None,
        "landed": landed(store, pipeline),
        "data": decode(data, pipeline.keys.train_latest()) if data else None,
    }


def _approval(store: ObjectStore, pipeline: Pipeline, run: str) -> dict[str, Any] | None:
    """How the decision about the last run's model stands, or about the newest that still waits for one."""
    keys, own = pipeline.keys, None
    if store.head(keys.package(run)):
        own = approval.read(store, keys, registration(store, keys, run).package_arn)
    # Runs go on while a person takes their time.
    asked = own[0] if own else max(_waiting(store, keys), key=lambda each: each.run_ts, default=None)
    names = ("run_ts", "state", "expires_at", "decided_at", "why")
    return {name: getattr(asked, name) for name in names} if asked else None


def _waiting(store: ObjectStore, keys: Keys) -> list[approval.Approval]:
    stored = ((row.key, store.get(row.key)) for row in store.list(keys.approval("").removesuffix(".json")))
    found = [approval.of(each, key) for key, each in stored if each]
    return [each for each in found if each.state == "waiting"]


def _show_status(console: Console, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        champion, run, held, data = row["champion"], row["last_run"], row["lease"], row["data"]
        console.print(f"[bold]{row['pipeline']}[/]")
        grid = Table.grid(padding=(0, 2))
        age = f"in service for {_age(champion['updated_at'])}" if champion else ""
        grid.add_row("  champion", champion["run_ts"] if champion else "none yet", age)
        if run:
            grid.add_row("  last run", run["run_ts"], (run["outcome"] or run["state"]).replace("_", " "))
        if asked := row["approval"]:
            until = f" until {asked['expires_at']}" if asked["state"] == "waiting" else ""
            grid.add_row("  approval", asked["run_ts"], f"{asked['state']}{until}")
        for table, facts in row["landed"].items():
            grid.add_row("  landed", table, told(facts))
        if data:
            synthetic = ", synthetic" if data.get("synthetic") else ""
            grid.add_row("  data", data["run_ts"], f"{data['row_count']:,} rows{synthetic}")
        if held and held["state"] == "held":
            grid.add_row("  lease", held["run_ts"], f"held by {held['execution'].rpartition(':')[2]}")
        console.print(grid)


def _age(instant: str) -> str:
    then: datetime = parse_instant(instant)
    return duration((utc_now() - then).total_seconds())


def _newest_card(target: Target, pipeline: str) -> str:
    prefix = catalog.load(pipeline).keys.model("").split("run_ts=")[0]
    cards = [row.key for row in target.store.list(f"{prefix}run_ts=") if row.key.endswith("/card.html")]
    if not cards:
        raise UnknownRun(f"No run of {pipeline} was judged yet; run `ratchet run {pipeline}`.")
    return max(cards).split("run_ts=")[1].split("/")[0]
