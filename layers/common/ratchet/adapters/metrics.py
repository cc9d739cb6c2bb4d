"""Numbers for a pipeline's alarms, in CloudWatch's embedded metric format."""


def measure(metric: str, value: float, *, pipeline: str, service: str) -> None:
    """Writes one to the log, from where CloudWatch takes it."""
    from aws_lambda_powertools.metrics import MetricUnit, single_metric  # 20 ms that few answers need

    with single_metric(metric, MetricUnit.Count, value, namespace="Ratchet") as written:
        written.add_dimension("service", service)
        written.add_dimension("pipeline", pipeline)
