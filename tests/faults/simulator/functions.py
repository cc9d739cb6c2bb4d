"""The product's own handlers, `functions/<step>/app.py`, with the settings and the pipeline of the simulated world."""

import importlib.util
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from ratchet import lease
from ratchet.settings import Settings

from tests.faults.simulator.stand_ins import Source, pipeline

ROOT = Path(__file__).parents[3] / "functions"
SETTINGS = Settings("bucket", "stack", training_role="role", training_image="image", allow_synthetic=True)
PIPELINE = pipeline()
Step = Callable[[dict[str, Any], Any, Callable[[], Any]], Any]


class Context:
    """What Lambda tells a function of its invocation: there is always time left."""

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 600_000


@cache
def step(name: str) -> Step:
    """The step of that name: event, ports and clock to its result."""
    if name == "lay_down_lease":
        return _lay_down_lease
    handler = module(name).handler.__wrapped__
    return lambda event, ports, clock: _called(handler, event, ports, clock)


def _called(handler: Any, event: dict[str, Any], ports: Any, clock: Callable[[], Any]) -> Any:
    wanted = handler.__code__.co_varnames[: handler.__code__.co_argcount]
    return handler(event, Context(), ports, *([clock] if "clock" in wanted else []))


@cache
def module(name: str) -> ModuleType:
    """The module of a step."""
    # Before powertools is imported: what is not logged costs nothing.
    os.environ.setdefault("POWERTOOLS_LOG_LEVEL", "CRITICAL")
    spec = importlib.util.spec_from_file_location(f"simulated_{name}", ROOT / name / "app.py")
    assert spec
    assert spec.loader
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    ours = {
        "settings": lambda: SETTINGS,
        "load": lambda _: PIPELINE,
        "names": lambda: [PIPELINE.name],
        "Archive": Source,
    }
    for attribute, value in ours.items():
        if hasattr(found, attribute):
            setattr(found, attribute, value)
    return found


def _lay_down_lease(event: dict[str, Any], ports: Any, clock: Callable[[], Any]) -> Any:
    """Gives the lease back without ending the run: a person's decision may take days."""
    lease.give_back(ports.store(), PIPELINE.keys, execution=event["execution"])
    return {}
