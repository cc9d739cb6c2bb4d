"""Ports of the scenes in memory, and the handlers that work with them."""

from datetime import UTC, datetime
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
from ratchet.catalog import Pipeline
from ratchet.extraction.source import Page, PageBuilder
from ratchet.instants import iso, parse_instant
from ratchet.settings import Settings
from ratchet.training import Job

from tests.fake_sagemaker import Group
from tests.fakes import Clock, MemoryStore
from tests.faults.rights_called import Noted
from tests.signed import STACK, World

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
CONTEXT = SimpleNamespace(get_remaining_time_in_millis=lambda: 60_000)


class Ports:
    """`ratchet.wiring` in memory: nothing runs, one job was trained at most, the source has a row of this moment.

    What a person signs stands in `signed`.
    """

    def __init__(self) -> None:
        self.memory = MemoryStore()
        self.job: Job | None = None
        self.states: Any = None
        self.signed, self.group = World(), Group()

    def store(self) -> MemoryStore:
        return self.memory

    reader = store

    def files(self, pipeline: Pipeline) -> MemoryStore:
        return self.memory

    def machine(self) -> Any:
        return self.states

    def executions(self) -> "Ports":
        return self

    def training_jobs(self) -> "Ports":
        return self

    def feature_group(self) -> Group:
        return self.group

    def __getattr__(self, name: str) -> Any:
        return getattr(self.signed, name)

    def source(self) -> "Ports":
        return self

    def prediction_table(self) -> "Ports":
        return self

    def is_running(self, execution: str) -> bool:
        return False

    def stop_leftovers(self, execution: str) -> list[str]:
        return []

    def find(self, name: str) -> Job | None:
        return self.job

    def page(self, name: str, table: Any, *, after: str, before: str, limit: int) -> Page:
        builder = PageBuilder(table, 1)
        if parse_instant(after) >= NOW:
            return builder.build(None)
        builder.columns["base_ts"][0] = np.datetime64(NOW.replace(tzinfo=None), "us")
        for name in ("embedding_a", "embedding_b"):
            builder.columns[name][0] = np.eye(1, 256)
        builder.accept()
        return builder.build(iso(NOW))

    def upsert(self, table: str, rows: Any) -> None:
        return None


def handle(step: str, ports: Noted, event: Any) -> Any:
    """The result of a step's own handler."""
    module = import_module(f"functions.{step}.app")
    handler, told = module.handler.__wrapped__, Settings("bucket", STACK)
    takes_clock = "clock" in handler.__code__.co_varnames
    with mock.patch.object(module, "settings", return_value=told, create=True):
        return handler(event, CONTEXT, ports, *([Clock(NOW)] if takes_clock else []))
