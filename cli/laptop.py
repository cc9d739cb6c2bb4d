"""Commands about where Ratchet runs: `up`, `down`, `env`, `doctor`, `destroy`."""

from dataclasses import asdict
from typing import Any

import click
from rich.console import Console

from cli.destroy import destroy_laptop, destroy_stack
from cli.doctor import check_aws
from cli.errors import FAILED, CommandError
from cli.options import Session, command


@click.command()
@command
def up(session: Session) -> None:
    """Start the laptop target and deploy to it; what runs already is left alone."""
    from local import laptop

    only_laptop(session)
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

    only_laptop(session)
    with session.output.working("Stopping the laptop target"):
        stopped = laptop.down()
    session.output.show(
        {"stopped": stopped}, lambda console: console.print(f"Stopped: {', '.join(stopped) or 'nothing ran'}")
    )


@click.command()
@command
def env(session: Session) -> None:
    """Print the exports that point `aws` and boto3 at the laptop target."""
    from local.laptop import current

    only_laptop(session)
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


def only_laptop(session: Session) -> None:
    """Raises UsageError for another target."""
    if session.target_name != "laptop":
        raise click.UsageError("This command is about the laptop target; it does not take --target aws.")
