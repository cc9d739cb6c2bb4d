"""Commands about runs: `run`, `pause`, `resume`."""

import json
import secrets
import sys
from typing import Any

import click
from botocore.exceptions import ClientError
from ratchet import catalog, claim
from ratchet.errors import BadInput
from ratchet.instants import parse_instant, run_name, utc_now
from rich.console import Console
from rich.panel import Panel

from cli.errors import ALREADY_RUNNING, FAILED, INTERRUPTED
from cli.follow import Follower, end_of
from cli.options import Session, command, pipeline_argument
from cli.targets import Target

COLOURS = {"pending_approval": "yellow", "rejected": "yellow", "approval_expired": "yellow"} | {
    "promoted": "green",
    "kept_champion": "cyan",
    "already_running": "yellow",
    "failed": "red",
}


@click.command()
@pipeline_argument
@click.option("--input", "text", metavar="JSON", default="{}", help='As for start-execution: {"skipDataPrep": true}.')
@click.option("--at", metavar="INSTANT", help="Name the run by this instant instead of the present second.")
@click.option("--resume", metavar="RUN", help="Take a failed run up again; finished outputs are adopted.")
@click.option("--detach", is_flag=True, help="Start it and return at once.")
@command
def run(session: Session, pipeline: str, text: str, at: str | None, resume: str | None, detach: bool) -> None:
    """Run a pipeline once and follow it to its verdict.

    Exit code: 0 promoted, kept, not enough data or skipped; 1 failed; 2 bad usage; 3 already running.
    """
    document = _input(pipeline, text, at, resume)
    states, machine = session.target.client("stepfunctions"), session.target.machine(pipeline)
    name = f"{document.get('at') or document.get('resume') or run_name(utc_now())}-{secrets.token_hex(3)}"
    name = f"cli-{name.replace(':', '-')}"
    execution = states.start_execution(stateMachineArn=machine, name=name, input=json.dumps(document))["executionArn"]
    if detach:
        session.output.show({"execution": execution}, lambda console: console.print(execution))
        return
    follower = Follower(states, execution)
    try:
        ended = follower.wait(session.output.err)
    except KeyboardInterrupt:
        session.output.err.print(f"No longer following; the run goes on. To stop it: {stop_command(execution)}")
        sys.exit(INTERRUPTED)
    result = _result(pipeline, execution, ended)
    if result["outcome"] == "pending_approval":
        result = _await_decision(session, result)
    session.output.show(result, lambda console: _panel(console, result))
    sys.exit({"failed": FAILED, "already_running": ALREADY_RUNNING}.get(result["outcome"], 0))


@click.command()
@command
def pause(session: Session) -> None:
    """Switch the schedules off; runs started by hand still work."""
    _switch(session, "DISABLED")


@click.command()
@command
def resume(session: Session) -> None:
    """Switch the schedules on again."""
    _switch(session, "ENABLED")


def _await_decision(session: Session, result: dict[str, Any]) -> dict[str, Any]:
    """The result once a person has decided, in this terminal or elsewhere; what the run came to, until Ctrl-C."""
    pipeline, run_ts = result["pipeline"], result["run_ts"]
    session.output.err.print(
        f"Waiting for a person: ratchet approve {pipeline} {run_ts}, or ratchet reject {pipeline} {run_ts} --why TEXT"
    )
    machine = session.target.output("ApprovalMachineArn").replace(":stateMachine:", ":execution:")
    execution = f"{machine}:{result['approval']}"
    try:
        ended = Follower(session.target.client("stepfunctions"), execution).wait(session.output.err)
    except KeyboardInterrupt:
        session.output.err.print("No longer following; the model goes on waiting.")
        return result
    return {**result, **_result(pipeline, execution, ended)}


def _input(pipeline: str, text: str, at: str | None, resume: str | None) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise BadInput(f"--input is not JSON ({error}); write it as '{{\"skipDataPrep\": true}}'.") from error
    if not isinstance(document, dict):
        raise BadInput("--input must be a JSON object such as '{\"skipDataPrep\": true}'.")
    if at:
        document["at"] = run_name(parse_instant(at))
    if resume:
        document["resume"] = run_name(parse_instant(resume))
    # The machine checks it again; here a mistake costs no execution.
    claim.parse_request(document, catalog.load(pipeline).source.takes)
    return document


def _result(pipeline: str, execution: str, ended: dict[str, Any]) -> dict[str, Any]:
    seconds = (ended["stopDate"] - ended["startDate"]).total_seconds()
    return {"pipeline": pipeline, "execution": execution, "seconds": round(seconds, 1), **end_of(ended)}


def _panel(console: Console, result: dict[str, Any]) -> None:
    outcome = result["outcome"]
    lines = [result.get("reason") or ""]
    lines += [f"{label}: {result[key]}" for key, label in (("error", "error"), ("card_uri", "card")) if result.get(key)]
    if run := result.get("run_ts"):
        lines.append(f"run: {run}" + (f"   ratchet card {result['pipeline']} {run}" if result.get("card_uri") else ""))
    title = f"{result['pipeline']}: {outcome.replace('_', ' ')} after {result['seconds']} s"
    text = "\n".join(line for line in lines if line)
    console.print(Panel(text, title=title, border_style=COLOURS.get(outcome, "blue"), title_align="left"))


def stop_command(execution: str) -> str:
    """What ends an execution."""
    return f"aws stepfunctions stop-execution --execution-arn {execution}"


def switch_schedules(target: Target, state: str) -> list[dict[str, str]]:
    """Sets the state of the stack's schedules, `ENABLED` or `DISABLED`; each that is there, with its expression."""
    client, switched = target.client("scheduler"), []
    for name in target.output("ScheduleNames").split(","):
        try:
            schedule = client.get_schedule(Name=name)
        except ClientError as error:
            # Half of a stack whose deletion failed is gone.
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
            continue
        keep = ("ScheduleExpression", "ScheduleExpressionTimezone", "FlexibleTimeWindow", "Target", "Description")
        client.update_schedule(Name=name, State=state, **{key: schedule[key] for key in keep if schedule.get(key)})
        switched.append({"schedule": name, "state": state, "expression": schedule["ScheduleExpression"]})
    return switched


def _switch(session: Session, state: str) -> None:
    switched = switch_schedules(session.target, state)

    def render(console: Console) -> None:
        for entry in switched:
            console.print(f"{entry['schedule']}: {state.lower()}  {entry['expression']}")

    session.output.show(switched, render)
