"""What the API answers and takes, as the OpenAPI document describes it. Third party: pydantic, for the descriptions."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictInt, StrictStr

INSTANT = "An instant in UTC, such as 2026-11-21T04:00:00Z."


@dataclass(frozen=True)
class Problem:
    """Why there is no other answer. All errors have this shape."""

    status: Literal["error"]
    error: Annotated[str, Field(description="What went wrong, by a name that programs can rely on.")]
    message: Annotated[str, Field(description="What went wrong in a sentence for people, with the remedy.")]


@dataclass(frozen=True)
class Window:
    """The hours that a prediction stands on: those of the machine's present life, since its last fault."""

    start: Annotated[str, Field(description=f"Where the first of the hours begins. {INSTANT}")]
    end: Annotated[str, Field(description=f"Where the newest hour that has ended ends. {INSTANT}")]
    hours: Annotated[int, Field(description="How many hours in between have values.", ge=1)]


@dataclass(frozen=True)
class Prediction:
    """The hours that a machine has left before its next fault."""

    status: Literal["ok"]
    predictions: Annotated[
        list[float],
        Field(
            description="The hours left after the end of the window: one number, in hours.", min_length=1, max_length=1
        ),
    ]
    unit: Annotated[str, Field(description="The unit of the predictions: hours.", pattern="^hours$")]
    model_run_ts: Annotated[str, Field(description="The run that made the model, such as 2026-11-21T04-00-00Z.")]
    data_window: Window
    missing_sensors: Annotated[
        list[str],
        Field(description="Sensors that the model has learned from and that said nothing in its longest window."),
    ]


@dataclass(frozen=True)
class Healthy:
    """A model is in service and answers."""

    status: Literal["ok"]
    message: Annotated[str, Field(description="The same in a sentence.")]
    pipeline: Annotated[str, Field(description="The pipeline that is served.")]
    model_run_ts: Annotated[str, Field(description="The run that made the model.")]
    fault: Annotated[
        str | None, Field(description="Why a newer champion does not serve in its place; null if none is.")
    ]


def _whole(value: object) -> object:
    """JSON knows one kind of number: 5.0 is a whole one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class Wishes(BaseModel):
    """What a run may be asked for; without a body, what the schedule asks for."""

    model_config = ConfigDict(extra="forbid")
    month: Annotated[
        Annotated[StrictStr, Field(pattern="^[0-9]{4}-(0[1-9]|1[0-2])$")] | None,
        Field(description="Learn from this month instead of the last days."),
    ] = None
    sample: Annotated[
        Annotated[StrictInt, Field(ge=0)] | None,
        BeforeValidator(_whole),
        Field(description="Learn from so many rows at random; 0 means all."),
    ] = None


@dataclass(frozen=True)
class Accepted:
    """A run has been started."""

    status: Literal["accepted"]
    name: Annotated[str, Field(description="The execution's name, to ask for at /api/v1/runs/{name}.")]
    run: Annotated[str, Field(description="The run's name, such as 2026-11-21T04-00-00Z.")]


@dataclass(frozen=True)
class Run:
    """How an execution stands."""

    status: Literal["ok"]
    name: Annotated[str, Field(description="The execution's name.")]
    run: Annotated[str | None, Field(description="The run's name; null where nobody named it and it goes on.")]
    state: Annotated[
        Literal["running", "succeeded", "failed", "timed_out", "aborted", "pending_redrive"],
        Field(description="What Step Functions says."),
    ]
    started_at: Annotated[str, Field(description=INSTANT)]
    ended_at: Annotated[str | None, Field(description=f"{INSTANT} Null while it goes on.")]
    outcome: Annotated[
        str | None,
        Field(
            description="promoted, kept_champion, not_enough_data, no_new_rows, same_run, already_running or failed."
        ),
    ]
    reason: Annotated[str | None, Field(description="Why, in a sentence.")]
    verdict: Annotated[str | None, Field(description="The gate's: promote, keep or insufficient.")]
    card_uri: Annotated[str | None, Field(description="Where the report card lies in S3.")]


Document = dict[str, Any]
"""Of OpenAPI."""
