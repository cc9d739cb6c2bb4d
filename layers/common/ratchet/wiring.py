"""Picks the adapters from the settings; each SDK is imported when first asked for, to keep cold starts short."""

from functools import cache
from typing import TYPE_CHECKING

from ratchet.settings import access, settings
from ratchet.store import ObjectStore, Reader

if TYPE_CHECKING:
    from ratchet.executions import Executions
    from ratchet.extraction.source import Source
    from ratchet.serving.slots import PredictionTable
    from ratchet.training import TrainingJobs


@cache
def store() -> ObjectStore:
    """The landing bucket."""
    from ratchet.adapters.s3 import S3Store

    return S3Store(settings().bucket)


@cache
def reader() -> Reader:
    """The landing bucket for those who only follow the champion: without the SDK where that is possible."""
    found = access()
    if found is None:
        return store()
    from ratchet.adapters.s3_reader import S3Reader

    return S3Reader(settings().bucket, found, store)


@cache
def prediction_table() -> "PredictionTable":
    """The Supabase project, as a place for predictions."""
    from ratchet.adapters.prediction_table import SupabaseTable
    from ratchet.adapters.secrets import read_secret

    secret = read_secret(settings().secret)
    return SupabaseTable(secret["url"], secret["key"])


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
