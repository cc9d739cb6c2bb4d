"""Commands about models that a person signs: `approve`, `reject`; and following what comes of it."""

import getpass
import json
import sys
from typing import Any

import click
from botocore.exceptions import ClientError
from ratchet import catalog, pointer
from ratchet.adapters.registry import ModelRegistry
from ratchet.catalog import Pipeline
from ratchet.errors import BadInput, NotRegistered
from ratchet.registry.package import APPROVED, PENDING, REJECTED, Registration, is_of, reason, registration
from ratchet.registry.register import approval_input, execution_name
from rich.console import Console

from cli.errors import FAILED, INTERRUPTED
from cli.follow import ENDED, Follower, end_of
from cli.models import invoke
from cli.options import Session, command, pipeline_argument
from cli.targets import Target

run_argument = click.argument("run_ts", metavar="RUN")


@click.command()
@pipeline_argument
@run_argument
@click.option("--why", default="", metavar="TEXT", help="A reason; it stands in the registry.")
@click.option("--detach", is_flag=True, help="Do not follow what comes of it.")
@command
def approve(session: Session, pipeline: str, run_ts: str, why: str, detach: bool) -> None:
    """Approve the model of a RUN, and follow it until it is served.

    Approved already, and its deployment failed: it is taken up again. Exit code: 0 whatever was decided, 1 failed.
    """
    target, signed = session.target, _signed(pipeline)
    registered = registration(target.store, signed.keys, run_ts)
    status = _status(target, registered)
    if status == REJECTED:
        raise BadInput(f"Run {run_ts} was rejected, which stays so; run the pipeline again.")
    execution = _execution(target, registered)
    if status == PENDING:
        _decide(target, registered, APPROVED, why)
    else:
        # The event of it may have been lost; what was passed on already is not passed on again.
        invoke(target, "DecideFunction", {"detail": {"ModelPackageArn": registered.package_arn}})
    if detach:
        document = {"pipeline": pipeline, "run_ts": run_ts, "status": APPROVED, "execution": execution}
        session.output.show(document, lambda console: console.print(f"[green]Approved[/] {pipeline} {run_ts}"))
        return
    follow(session, execution)


@click.command()
@pipeline_argument
@run_argument
@click.option("--why", required=True, metavar="TEXT", help="The reason; it stands in the registry.")
@command
def reject(session: Session, pipeline: str, run_ts: str, why: str) -> None:
    """Reject the model of a RUN: it is never put into service.

    The very first model, rejected while it is being deployed, stays on the endpoint until another is approved.
    """
    target, signed = session.target, _signed(pipeline)
    if not why.strip():
        raise BadInput('A rejection needs a reason: --why "what is wrong".')
    registered = registration(target.store, signed.keys, run_ts)
    champion = pointer.read(target.store, signed.keys)
    if champion and champion[0].run_ts == run_ts:
        raise BadInput(
            f"Run {run_ts} is in service; to take it out of service: ratchet rollback {pipeline} --why TEXT."
        )
    if _status(target, registered) != REJECTED:
        _decide(target, registered, REJECTED, why)
    document = {"pipeline": pipeline, "run_ts": run_ts, "status": REJECTED, "package_arn": registered.package_arn}
    session.output.show(document, lambda console: console.print(f"[yellow]Rejected[/] {pipeline} {run_ts}"))


def follow(session: Session, execution: str) -> None:
    """Follows an approval to its end, and ends the command by it."""
    try:
        ended = Follower(session.target.client("stepfunctions"), execution).wait(session.output.err)
    except KeyboardInterrupt:
        session.output.err.print("No longer following; it goes on.")
        sys.exit(INTERRUPTED)
    document = {"execution": execution, **end_of(ended)}
    session.output.show(document, lambda console: _show(console, document))
    sys.exit(FAILED if document["outcome"] == "failed" else 0)


def execution_arn(target: Target, registered: Registration, attempt: int) -> str:
    """The execution that waits for a decision about a run's package."""
    machine = target.output("ApprovalMachineArn").replace(":stateMachine:", ":execution:")
    return f"{machine}:{execution_name(registered, attempt)}"


def _signed(pipeline: str) -> Pipeline:
    found = catalog.load(pipeline)
    if not found.serving.endpoint:
        raise BadInput(f"Nobody signs for {pipeline}: its models go into service once they pass the gate.")
    return found


def _registry(target: Target) -> ModelRegistry:
    """The stack's model registry; nothing is created through it."""
    return ModelRegistry(target.output("ModelPackageGroup"), "", target.client("sagemaker"))


def _status(target: Target, registered: Registration) -> str:
    """Of the run's own package. Raises NotRegistered where it is gone, or where its name is another's by now."""
    package = _registry(target).find(registered.package_arn)
    if package is None or not is_of(package, registered):
        raise NotRegistered(
            f"The package of run {registered.run_ts} is gone from the registry; run the pipeline again."
        )
    return package.status


def _decide(target: Target, registered: Registration, status: str, why: str) -> None:
    _registry(target).decide(registered.package_arn, status, reason(why, f"by {getpass.getuser()}"))


def _execution(target: Target, registered: Registration) -> str:
    """The newest execution of the approval, a further one where that has failed, so that somebody waits or deploys."""
    attempt, status = 1, _described(target, execution_arn(target, registered, 1))
    while (later := _described(target, execution_arn(target, registered, attempt + 1))) is not None:
        attempt, status = attempt + 1, later
    if status is None or status in ENDED - {"SUCCEEDED"}:
        attempt += status is not None
        target.client("stepfunctions").start_execution(
            stateMachineArn=target.output("ApprovalMachineArn"),
            name=execution_name(registered, attempt),
            input=json.dumps(approval_input(registered)),
        )
    return execution_arn(target, registered, attempt)


def _described(target: Target, execution: str) -> str | None:
    try:
        return str(target.client("stepfunctions").describe_execution(executionArn=execution)["status"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "ExecutionDoesNotExist":
            raise
        return None


def _show(console: Console, document: dict[str, Any]) -> None:
    colour = {"promoted": "green", "failed": "red"}.get(document["outcome"], "cyan")
    console.print(f"[{colour}]{document['outcome'].replace('_', ' ').capitalize()}[/] {document.get('reason') or ''}")
