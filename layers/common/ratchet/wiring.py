"""Picks the adapters from the settings; each SDK is imported when first asked for, to keep cold starts short."""

from functools import cache, lru_cache
from typing import TYPE_CHECKING

from ratchet.settings import access, settings
from ratchet.store import ObjectStore, Reader

if TYPE_CHECKING:
    from ratchet.catalog import Pipeline
    from ratchet.endpoint.hosting import Hosting
    from ratchet.executions import Executions, Machine
    from ratchet.extraction.source import Source
    from ratchet.registry.approval import Tasks
    from ratchet.registry.asking import Topic
    from ratchet.registry.link import Signer
    from ratchet.registry.package import Registry
    from ratchet.serving.slots import PredictionTable
    from ratchet.tabular.feature_group import FeatureGroup
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


def files(pipeline: "Pipeline") -> ObjectStore:
    """Where the files of a pipeline's source lie: the landing bucket, or the one that sensors write to."""
    return _bucket(settings().sensor_bucket or settings().bucket) if pipeline.source.kind == "sensors" else store()


@lru_cache(maxsize=2)
def _bucket(name: str) -> ObjectStore:
    from ratchet.adapters.s3 import S3Store

    return S3Store(name)


def prediction_table() -> "PredictionTable":
    """The Supabase project, as a place for predictions; of `source`'s secret, read as there.

    Raises BadConfiguration where the secret names the database alone.
    """
    from ratchet.adapters.prediction_table import SupabaseTable
    from ratchet.adapters.secrets import read_project

    return SupabaseTable(*read_project(settings().secret))


@cache
def executions() -> "Executions":
    """Step Functions, as far as a lease needs it."""
    from ratchet.adapters.stepfunctions import StepFunctions

    return StepFunctions()


@cache
def machine() -> "Machine":
    """The state machine of the pipeline whose API this is."""
    from ratchet.adapters.machine import StateMachine

    return StateMachine(settings().api_machine)


def source() -> "Source":
    """Postgres directly where the secret names a database URL, Supabase's REST interface otherwise.

    The secret is read each time, since a process outlives a change of its keys; connections last as long as it stays.
    """
    from ratchet.adapters.secrets import read_secret

    secret = read_secret(settings().secret)
    return _source(secret.get("db_url", ""), secret.get("url", ""), secret.get("key", ""))


@lru_cache(maxsize=1)
def _source(db_url: str, url: str, key: str) -> "Source":
    if db_url:
        from ratchet.adapters.postgres import PostgresSource

        return PostgresSource(db_url)
    from ratchet.adapters.supabase import SupabaseSource

    return SupabaseSource(url, key)


@cache
def training_jobs() -> "TrainingJobs":
    """SageMaker training jobs."""
    from ratchet.adapters.sagemaker import SageMakerJobs

    return SageMakerJobs()


@cache
def approvals() -> "Machine":
    """The state machine that waits for people."""
    from ratchet.adapters.machine import StateMachine

    return StateMachine(settings().approval_machine)


@cache
def registry() -> "Registry":
    """The model registry's package group."""
    from ratchet.adapters.registry import ModelRegistry

    return ModelRegistry(settings().package_group, settings().endpoint_image)


@cache
def hosting() -> "Hosting":
    """SageMaker endpoints, of the kind that the stack asks for."""
    from ratchet.adapters.hosting import SageMakerHosting, Service

    told = settings()
    return SageMakerHosting(
        Service(
            kind=told.endpoint_kind,
            image=told.endpoint_image,
            role=told.endpoint_role,
            memory_mb=told.endpoint_memory_mb,
            concurrency=told.endpoint_concurrency,
            instances=told.endpoint_instances,
            alarms=tuple(name for name in told.endpoint_alarms.split(",") if name),
            key=told.kms_key,
            stack=told.stack,
        )
    )


@cache
def tasks() -> "Tasks":
    """Step Functions' tasks that wait."""
    from ratchet.adapters.tasks import WaitingTasks

    return WaitingTasks()


@cache
def topic() -> "Topic":
    """Where people hear of outcomes."""
    from ratchet.adapters.topic import SnsTopic

    return SnsTopic(settings().topic)


def signer() -> "Signer":
    """Signs links with the stack's own secret, which is read each time: it may be renewed."""
    from ratchet.adapters.secrets import read_field
    from ratchet.registry.link import Signer

    return Signer(read_field(settings().link_secret, "key"))


def api_url() -> str:
    """Where the HTTP API is."""
    return settings().api_url


@cache
def feature_group() -> "FeatureGroup | None":
    """The feature group that records go into, None where the stack has none."""
    from ratchet.adapters.feature_group import SageMakerFeatureGroup

    return SageMakerFeatureGroup(settings().feature_group) if settings().feature_group else None
