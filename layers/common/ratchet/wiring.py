"""Picks the adapters from the settings; each SDK is imported when first asked for, to keep cold starts short."""

from functools import cache
from typing import TYPE_CHECKING

from ratchet.settings import settings
from ratchet.store import ObjectStore

if TYPE_CHECKING:
    from ratchet.executions import Executions
    from ratchet.extraction.source import Source
    from ratchet.training import TrainingJobs


@cache
def store() -> ObjectStore:
    """The landing bucket."""
    from ratchet.adapters.s3 import S3Store

    return S3Store(settings().bucket)


@cache
def executions() -> "Executions":
    """Step Functions, as far as a lease needs it."""
    from ratchet.adapters.stepfunctions import StepFunctions

    return StepFunctions()


@cache
def source() -> "Source":
    """Postgres directly where the secret names a database URL, Supabase's REST interface otherwise."""
    from ratchet.adapters.secrets import read_secret

    secret = read_secret(settings().secret)
    if secret.get("db_url"):
        from ratchet.adapters.postgres import PostgresSource

        return PostgresSource(secret["db_url"])
    from ratchet.adapters.supabase import SupabaseSource

    return SupabaseSource(secret["url"], secret["key"])


@cache
def training_jobs() -> "TrainingJobs":
    """SageMaker training jobs."""
    from ratchet.adapters.sagemaker import SageMakerJobs

    return SageMakerJobs()
