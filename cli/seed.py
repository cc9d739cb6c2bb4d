"""The command `seed`: fills what a pipeline reads on the laptop target, and starts the pipeline's keys afresh."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource
from ratchet import catalog, lease
from ratchet.adapters.stepfunctions import StepFunctions
from ratchet.sources import Tables

from cli.buckets import empty
from cli.errors import CommandError
from cli.laptop import only_laptop
from cli.options import Session, command
from cli.output import Progress
from cli.seeded import SHOWN
from cli.targets import Target

if TYPE_CHECKING:
    from local.seeding.seed import SeedReport
    from local.seeding.uploads import Clear

Options = dict[str, Any]
Plan = Callable[[Progress, "Clear"], Any]
"""What is left to do once somebody has agreed: seeds, and has what was there deleted when it is ready to."""

TAKEN_BY = {
    "from_bars": "returns",
    "rows": "returns",
    "machines": "rul",
    "every_minutes": "rul",
    "from_cmapss": "rul",
    "from_csv": "energy",
    "signal": "adclick",
    "records": "adclick",
    "users": "adclick",
    "days": "rul, energy",
    "shift": "returns, energy",
}
"""Which pipelines an option belongs to; the others belong to all."""
SIMULATED = {"from_cmapss": ("machines", "days", "every_minutes"), "from_csv": ("days",)}
"""What says how to simulate, and is not for real data."""


@click.command()
@click.argument("pipeline", type=click.Choice(["returns", "rul", "energy", "adclick"]))
@click.option(
    "--from-bars",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="CSV",
    help="returns: real one-minute bars.",
)
@click.option(
    "--from-cmapss",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="rul: NASA's turbofan engines, with train_FD001.txt.",
)
@click.option(
    "--from-csv",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="energy: a meter's readings, by the minute or the hour.",
)
@click.option("--rows", default=5000, show_default=True, type=click.IntRange(min=1), help="returns: 10-minute windows.")
@click.option("--machines", default=24, show_default=True, type=click.IntRange(1, 999), help="rul: how many.")
@click.option("--days", type=click.IntRange(1, 3650), help="rul, energy: how many.  [default: 24, 730]")
@click.option(
    "--every-minutes", default=10, show_default=True, type=click.IntRange(1, 60), help="rul: from sample to sample."
)
@click.option(
    "--signal",
    type=click.FloatRange(0, 10),
    help="adclick: how much an attribute says of a click: 0 nothing, 2 so much that a model is good.",
)
@click.option("--records", default=10_000, show_default=True, type=click.IntRange(100), help="adclick: rows.")
@click.option("--users", default=4_000, show_default=True, type=click.IntRange(10), help="adclick: people.")
@click.option("--seed", default=42, show_default=True, type=click.IntRange(min=0), help="Of what is simulated.")
@click.option(
    "--shift/--no-shift",
    default=True,
    show_default=True,
    help="returns, energy: move the instants so that the last one is now.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@command
def seed(session: Session, pipeline: str, yes: bool, **options: Any) -> None:
    """Fill what PIPELINE reads with simulated or with real data.

    It replaces the source (the tables of returns, the files of the others) and starts the pipeline's keys in the
    landing bucket afresh.
    """
    only_laptop(session)
    _require_options_of(pipeline)
    target = session.target
    require_no_run(target, pipeline)
    # Read before anything is asked or deleted: a file that cannot be used must cost nothing.
    plan = PLANS[pipeline](session, options)
    roots = _roots(pipeline)
    objects = {listed.key for root in roots for listed in target.store.list(root)}
    if objects and not yes:
        question = f"Delete {len(objects)} objects of {pipeline} on the laptop target, its models included?"
        click.confirm(question, abort=True, err=True)

    def clear() -> None:
        for root in roots:
            empty(target.client("s3"), target.store.bucket, root)

    with session.output.working(f"Seeding {pipeline}") as progress:
        report = plan(progress, clear)
    session.output.show(asdict(report), lambda console: SHOWN[pipeline](console, report))


def _require_options_of(pipeline: str) -> None:
    """Raises UsageError for options of another pipeline, and for those that real data has no use for."""
    context = click.get_current_context()
    given = {name for name in context.params if context.get_parameter_source(name) != ParameterSource.DEFAULT}
    for name, pipelines in TAKEN_BY.items():
        if name in given and pipeline not in pipelines.split(", "):
            raise click.UsageError(f"{_spelt(name)} is an option of {pipelines}, not of {pipeline}.")
    for real, simulated in SIMULATED.items():
        if real in given and (useless := given & set(simulated)):
            raise click.UsageError(f"{_spelt(min(useless))} is for simulated data and does not go with {_spelt(real)}.")
    if pipeline == "energy" and "shift" in given and "from_csv" not in given:
        raise click.UsageError("--shift and --no-shift go with --from-csv; what is simulated ends now.")
    if pipeline == "adclick" and "signal" not in given:
        raise click.UsageError("adclick takes --signal, such as 2, or 0 for clicks that nothing predicts.")


def _spelt(name: str) -> str:
    return "--no-shift" if name == "shift" else f"--{name.replace('_', '-')}"


def _roots(pipeline: str) -> list[str]:
    """Prefixes of all that a seed replaces in the bucket; the marker is the first to go."""
    from local.seeding.uploads import marker_key

    loaded = catalog.load(pipeline)
    source = loaded.source
    files = [] if isinstance(source, Tables) else [marker_key(source.prefix), source.prefix]
    return [*files, *loaded.keys.roots()]


def require_no_run(target: Target, pipeline: str) -> None:
    """Raises CommandError while a run reads what would be replaced."""
    held = lease.read(target.store, catalog.load(pipeline).keys)
    executions = StepFunctions(target.client("stepfunctions"), target.client("sagemaker"))
    if held and held[0].state == "held" and executions.is_running(held[0].execution):
        raise CommandError(f"{held[0].execution} is running; wait for it or stop it, then try again.")


def _returns(session: Session, options: Options) -> Plan:
    from local.laptop import current
    from local.seeding import prices
    from local.seeding.destinations import Copy
    from local.seeding.seed import seed_returns

    running = current()
    if running is None:
        raise CommandError("The laptop target is not running; start it with `ratchet up`.")
    bars = prices.read_csv(options["from_bars"]) if options["from_bars"] else None
    given = {name: options[name] for name in ("rows", "seed", "shift")}

    def plan(progress: Progress, clear: "Clear") -> "SeedReport":
        report = seed_returns(Copy(running.db_url), bars=bars, progress=progress, **given)
        clear()
        return report

    return plan


def _rul(session: Session, options: Options) -> Plan:
    from local.seeding import sensors, turbofan

    store, pipeline, seed = session.target.store, catalog.load("rul"), options["seed"]
    if options["from_cmapss"]:
        engines = turbofan.read(options["from_cmapss"])
        return lambda progress, clear: turbofan.seed_engines(
            store, pipeline, clear, engines, seed=seed, progress=progress
        )
    given = {name: options[name] for name in ("machines", "days", "every_minutes") if options[name]}
    return lambda progress, clear: sensors.seed_machines(store, pipeline, clear, seed=seed, progress=progress, **given)


def _energy(session: Session, options: Options) -> Plan:
    from local.seeding import household, meters

    store, pipeline = session.target.store, catalog.load("energy")
    if options["from_csv"]:
        with session.output.working(f"Reading {options['from_csv'].name}") as told:
            file = meters.read(options["from_csv"], pipeline, told)
        return lambda progress, clear: meters.seed_file(
            store, pipeline, clear, file, shift=options["shift"], progress=progress
        )
    given = {name: options[name] for name in ("seed", "days") if options[name] is not None}
    return lambda progress, clear: household.seed_household(store, pipeline, clear, progress=progress, **given)


def _adclick(session: Session, options: Options) -> Plan:
    from local.seeding.clicks import seed_clicks

    store, pipeline = session.target.store, catalog.load("adclick")
    given = {name: options[name] for name in ("signal", "records", "users", "seed")}
    return lambda progress, clear: seed_clicks(store, pipeline, clear, progress=progress, **given)


PLANS: dict[str, Callable[[Session, Options], Plan]] = {
    "returns": _returns,
    "rul": _rul,
    "energy": _energy,
    "adclick": _adclick,
}
