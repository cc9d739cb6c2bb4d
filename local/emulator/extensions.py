"""The one list of what we change in ministack: modules of this package with an `install()`, called in this order."""

from __future__ import annotations

from importlib import import_module

EXTENSIONS = (
    "yaml_definitions",
    "lambda_runtime",
    "embedded_metrics",
    "schedules",
    "generated_secrets",
    "bucket_lifecycle",
    "s3_permissions",
    "stepfunctions_scope",
    "stepfunctions_limits",
    "stepfunctions_states",
    "stepfunctions_execution",
    "stepfunctions_nested",
    "stepfunctions_sdk",
    "sagemaker",
    "sagemaker_sync",
)


def install_all() -> None:
    """Install every extension; ministack's environment variables must be set before, since it reads them on import."""
    for name in EXTENSIONS:
        import_module(f"local.emulator.{name}").install()
