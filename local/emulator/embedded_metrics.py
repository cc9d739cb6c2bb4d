"""Metrics that functions write into their logs, as CloudWatch takes them out there: ministack leaves them in the text.

Boundary: reads the embedded metric format and hands numbers over; what an alarm makes of them is ministack's business,
which looks at an alarm only when somebody puts data, and does not tell dimensions apart.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_looking = threading.Lock()


@dataclass(frozen=True)
class Datum:
    """One value of one metric under one set of dimensions."""

    namespace: str
    name: str
    value: float
    unit: str
    dimensions: dict[str, str]

    def watched_by(self, alarm: Mapping[str, Any]) -> bool:
        """Whether it is of the metric that an alarm of ministack's watches."""
        own = {each["Name"]: each["Value"] for each in alarm["Dimensions"]}
        return (alarm["Namespace"], alarm["MetricName"], own) == (self.namespace, self.name, self.dimensions)


def embedded(log: str) -> Iterator[Datum]:
    """The metrics in what a function printed; as with CloudWatch, a line in another shape is text and no error."""
    for line in log.splitlines():
        if '"_aws"' not in line:
            continue
        try:
            yield from list(_metrics(json.loads(line)))
        except (ValueError, KeyError, TypeError):
            continue


def _metrics(document: dict[str, Any]) -> Iterator[Datum]:
    for told in document["_aws"]["CloudWatchMetrics"]:
        for names in told["Dimensions"]:
            dimensions = {name: str(document[name]) for name in names}
            for metric in told["Metrics"]:
                found = document[metric["Name"]]
                for value in found if isinstance(found, list) else [found]:
                    unit = metric.get("Unit", "None")
                    yield Datum(told["Namespace"], metric["Name"], float(value), unit, dimensions)


def install() -> None:
    """Take the metrics out of every log that ministack keeps of a function, and look at the alarms that watch them."""
    from ministack.services import cloudwatch, lambda_svc

    stock = lambda_svc._emit_lambda_logs

    def emit(function: dict[str, Any], request_id: str, log: str, *rest: Any, **options: Any) -> None:
        stock(function, request_id, log, *rest, **options)
        for datum in embedded(log):
            cloudwatch.record_metric(datum.namespace, datum.name, datum.value, datum.unit, datum.dimensions)
            # Two invocations at once would tell of the same change twice.
            with _looking:
                for alarm in [one for one in cloudwatch._alarms.values() if datum.watched_by(one)]:
                    cloudwatch._evaluate_alarm(alarm)

    lambda_svc._emit_lambda_logs = emit
