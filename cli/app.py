"""The command `ratchet`: one place that lists what it can do."""

import click

from cli import approvals, executions, ingest, invoke, laptop, logs, models, scoring, seed, serve


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="ratchet-mlops", prog_name="ratchet")
def main() -> None:
    """Keep models fresh on AWS: train on a schedule, judge against the model in service, promote only what is better.

    Commands act on the laptop target; add --target aws --stack NAME for a deployed stack.
    """


for each in (
    laptop.up,
    seed.seed,
    ingest.ingest,
    executions.run,
    models.status,
    models.history,
    models.card,
    approvals.approve,
    approvals.reject,
    scoring.score,
    invoke.invoke,
    serve.serve,
    models.rollback,
    logs.logs,
    executions.pause,
    executions.resume,
    laptop.env,
    laptop.doctor,
    laptop.down,
    laptop.destroy,
):
    main.add_command(each)
