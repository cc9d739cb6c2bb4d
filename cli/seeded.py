"""What `seed` has written, as a person reads it: one rendering per pipeline."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from local.seeding.clicks import ClickReport
    from local.seeding.meters import MeterReport
    from local.seeding.seed import SeedReport
    from local.seeding.sensors import SensorReport


def _show_returns(console: Console, report: "SeedReport") -> None:
    console.print(f"{report.rows:,} windows, {_span(report)}")
    _show_source(console, report)
    table = Table("target", "mean %", "variance", "windows that move", box=None, header_style="dim")
    for target in report.targets:
        table.add_row(target.name, f"{target.mean:+.4f}", f"{target.variance:.4f}", f"{target.moving:.0%}")
    console.print(table)


def _show_sensors(console: Console, report: "SensorReport") -> None:
    console.print(f"{report.records:,} records in {report.files:,} files, {_span(report)}")
    _show_source(console, report)
    table = Table("machines", "lives", "faults", "records of others", box=None, header_style="dim")
    table.add_row(str(report.machines), str(report.lives), str(report.faults), f"{report.others:,}")
    console.print(table)


def _show_meters(console: Console, report: "MeterReport") -> None:
    console.print(f"{report.readings:,} readings, {_span(report)}")
    _show_source(console, report)
    table = Table("moved by", "later than now, left out", "lines without an instant", box=None, header_style="dim")
    table.add_row(f"{report.weeks} weeks", f"{report.left_out:,}", f"{report.passed_on:,}")
    console.print(table)


def _show_clicks(console: Console, report: "ClickReport") -> None:
    console.print(f"{report.rows:,} rows of {report.users:,} people")
    _show_source(console, report)
    table = Table("clicks", "rows that repeat another", "best AUC there can be", box=None, header_style="dim")
    table.add_row(f"{report.clicks:,}", f"{report.repeated:,}", f"{report.best_auc:.3f}")
    console.print(table)


def _span(report: Any) -> str:
    return f"{report.first:%Y-%m-%d %H:%M} to {report.last:%Y-%m-%d %H:%M} UTC"


def _show_source(console: Console, report: Any) -> None:
    console.print(f"[dim]{'synthetic' if report.synthetic else 'real'}: {report.source}[/]")


SHOWN: dict[str, Callable[[Console, Any], None]] = {
    "returns": _show_returns,
    "rul": _show_sensors,
    "energy": _show_meters,
    "adclick": _show_clicks,
}
