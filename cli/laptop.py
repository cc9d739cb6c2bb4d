"""Commands about where Ratchet runs: `up`, `down`, `seed`, `env`, `doctor`, `destroy`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from ratchet import catalog, lease
from ratchet.adapters.stepfunctions import StepFunctions
from rich.console import Console
from rich.table import Table

from cli.buckets import empty
from cli.destroy import destroy_laptop, destroy_stack
from cli.doctor import check_aws
from cli.errors import FAILED, CommandError
from cli.options import Session, command
from cli.targets import Target

if TYPE_CHECKING:
    from local.seeding.seed import SeedReport


@click.command()
@command
def up(session: Session) -> None:
    """Start the laptop target and deploy to it; what runs already is left alone."""
    from local import laptop

    _only_laptop(session)
    with session.output.working("Starting the laptop target") as progress:
        running = laptop.up(progress)
    told = {"endpoint_url": running.endpoint_url, "supabase_url": running.supabase_url, "stack": running.stack}

    def render(console: Console) -> None:
        console.print(f"[green]Up[/]  AWS at {running.endpoint_url}, Supabase at {running.supabase_url}")
        console.print(
            'Next: [bold]ratchet seed returns[/], then [bold]ratchet run returns[/]. For aws: eval "$(ratchet env)"'
        )

    session.output.show(told, render)


@click.command()
@command
def down(session: Session) -> None:
    """Stop the laptop target; its data stays for the next `ratchet up`."""
    from local import laptop

    _only_laptop(session)
    with session.output.working("Stopping the laptop target"):
        stopped = laptop.down()
    session.output.show(
        {"stopped": stopped}, lambda console: console.print(f"Stopped: {', '.join(stopped) or 'nothing ran'}")
    )


@click.command()
@click.argument("pipeline", type=click.Choice(["returns"]))
@click.option(
    "--from-bars",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="CSV",
    help="Real one-minute bars.",
)
@click.option(
    "--rows", default=5000, show_default=True, type=click.IntRange(min=1), help="10-minute windows to simulate."
)
@click.option("--seed", default=42, show_default=True, help="Of the simulated price path.")
@click.option(
    "--shift/--no-shift", default=True, show_default=True, help="Move the instants so that the last one is now."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@command
def seed(
    session: Session, pipeline: str, from_bars: Path | None, rows: int | None, seed: int, shift: bool, yes: bool
) -> None:
    """Fill the local Supabase, with simulated prices of a known signal or with real bars.

    It replaces both tables and starts the pipeline's keys in the landing bucket afresh.
    """
    from local.laptop import current
    from local.seeding import prices
    from local.seeding.destinations import Copy
    from local.seeding.seed import seed_returns

    _only_laptop(session)
    target, running = session.target, current()
    if running is None:
        raise CommandError("The laptop target is not running; start it with `ratchet up`.")
    _require_no_run(target, pipeline)
    # Read before anything is asked or deleted: a file that cannot be used must cost nothing.
    bars = prices.read_csv(from_bars) if from_bars else None
    roots = catalog.load(pipeline).keys.roots()
    objects = sum(1 for root in roots for _ in target.store.list(root))
    if objects and not yes:
        question = f"Delete {objects} objects of {pipeline} on the laptop target, its models included?"
        click.confirm(question, abort=True, err=True)
    with session.output.working(f"Seeding {pipeline}") as progress:
        report = seed_returns(Copy(running.db_url), bars=bars, rows=rows, seed=seed, shift=shift, progress=progress)
        for root in roots:
            empty(target.client("s3"), target.store.bucket, root)
    session.output.show(asdict(report), lambda console: _show_seed(console, report))


@click.command()
@command
def env(session: Session) -> None:
    """Print the exports that point `aws` and boto3 at the laptop target."""
    from local.laptop import current

    _only_laptop(session)
    running = current()
    if running is None:
        raise CommandError("The laptop target is not running; start it with `ratchet up`.")
    variables = running.environment()

    def render(console: Console) -> None:
        for name, value in variables.items():
            console.print(f"export {name}={value}", soft_wrap=True)

    session.output.show(variables, render)


@click.command()
@command
def doctor(session: Session) -> None:
    """Check what the target needs and say how to get what is missing."""
    if session.target_name == "aws":
        checks = check_aws(session.target)
    else:
        from local.doctor import examine

        checks = examine()
    rows = [asdict(check) for check in checks]

    def render(console: Console) -> None:
        for row in rows:
            mark = "[green]✓[/]" if row["ok"] else "[red]✗[/]"
            console.print(f"{mark} {row['check']:<22} {row['detail']}")
            if not row["ok"]:
                console.print(f"  [yellow]{row['remedy']}[/]")

    session.output.show(rows, render)
    if not all(row["ok"] for row in rows):
        raise SystemExit(FAILED)


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@command
def destroy(session: Session, yes: bool) -> None:
    """Remove the target with all its data, after asking; say what was kept."""
    what = "the laptop target, its data and models" if session.target_name == "laptop" else f"the stack {session.stack}"
    if not yes:
        click.confirm(f"Remove {what}? The landing bucket with every model goes too.", abort=True, err=True)
    with session.output.working(f"Removing {what}") as progress:
        told: dict[str, Any] = (
            destroy_laptop() if session.target_name == "laptop" else destroy_stack(session.target, progress)
        )

    def render(console: Console) -> None:
        for label in ("removed", "kept"):
            for entry in told[label]:
                console.print(f"{label}: {entry}")

    session.output.show(told, render)


def _require_no_run(target: Target, pipeline: str) -> None:
    held = lease.read(target.store, catalog.load(pipeline).keys)
    executions = StepFunctions(target.client("stepfunctions"), target.client("sagemaker"))
    if held and held[0].state == "held" and executions.is_running(held[0].execution):
        raise CommandError(f"{held[0].execution} is running; wait for it or stop it, then seed.")


def _show_seed(console: Console, report: "SeedReport") -> None:
    kind = "synthetic" if report.synthetic else "real"
    console.print(f"{report.rows:,} windows, {report.first:%Y-%m-%d %H:%M} to {report.last:%Y-%m-%d %H:%M} UTC")
    console.print(f"[dim]{kind}: {report.source}[/]")
    table = Table("target", "mean %", "variance", "windows that move", box=None, header_style="dim")
    for target in report.targets:
        table.add_row(target.name, f"{target.mean:+.4f}", f"{target.variance:.4f}", f"{target.moving:.0%}")
    console.print(table)


def _only_laptop(session: Session) -> None:
    if session.target_name != "laptop":
        raise click.UsageError("This command is about the laptop target; it does not take --target aws.")
