"""Map states, inline and distributed: items, batches, tolerated failures, results in S3.

A Distributed Map's items run as children of a map run, visible to ListMapRuns and ListExecutions.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from ministack.services import stepfunctions as sfn

from local.emulator import stepfunctions_scope as scopes
from local.emulator.stepfunctions_limits import checked
from local.emulator.stepfunctions_maprun import MapRun
from local.emulator.stepfunctions_retry import Step, with_retry_and_catch
from local.emulator.stepfunctions_rules import batched
from local.emulator.stepfunctions_states import (
    Context,
    State,
    finish,
    handler,
    inner,
    is_jsonata,
    number,
    record,
    run_states,
)


@handler("Map")
def map_state(state: State, data: Any, ctx: Context) -> Step:
    """Run a Map state under its Retry and Catch."""
    processor = state.get("ItemProcessor") or state["Iterator"]
    distributed = processor.get("ProcessorConfig", {}).get("Mode") == "DISTRIBUTED"
    run = _distributed if distributed else _inline

    def attempt() -> Step:
        return finish(state, data, ctx, checked(run(state, processor, data, ctx), "result of the items"))

    return with_retry_and_catch(state, data, ctx, attempt, lambda error: None)


def _inline(state: State, processor: dict[str, Any], data: Any, ctx: Context) -> list[Any]:
    inputs = _inputs(state, _items(state, data, ctx), data, ctx)
    record("MapStateStarted", "mapStateStartedEventDetails", length=len(inputs))
    works = [partial(run_states, processor, item, own) for own, item in inputs]
    return scopes.run_all(works, int(number(state, "MaxConcurrency", data, ctx, 0)))


def _items(state: State, data: Any, ctx: Context) -> list[Any]:
    effective = sfn._apply_input_path(state, data, ctx)
    if "ItemReader" in state:
        return _read(state["ItemReader"], state, data, ctx)
    if is_jsonata(state, ctx):
        items = sfn._jsonata_state_field(state, "Items", "array", data, ctx) if "Items" in state else data
    else:
        items = sfn._resolve_path_or_ctx(state.get("ItemsPath", "$"), effective, ctx)
    if not isinstance(items, list):
        found = sfn._json_type(items)
        raise sfn._ExecutionError("States.Runtime", f"A Map state needs an array of items, not {found}.")
    return items


def _read(reader: dict[str, Any], state: State, data: Any, ctx: Context) -> list[Any]:
    if is_jsonata(state, ctx):
        reader = {**reader, "Parameters": sfn._apply_jsonata_template(reader.get("Arguments", {}), data, ctx)}
        reader.pop("Arguments", None)
    return list(sfn._read_map_items(reader, data, ctx))


def _inputs(state: State, items: list[Any], data: Any, ctx: Context) -> list[tuple[Context, Any]]:
    """Context and input of each item, after ItemSelector."""
    selector = state.get("ItemSelector") or (None if is_jsonata(state, ctx) else state.get("Parameters"))
    pairs = []
    for index, item in enumerate(items):
        own = inner(ctx, Map={"Item": {"Index": index, "Value": item}})
        if selector and is_jsonata(state, ctx):
            item = sfn._apply_jsonata_template(selector, data, own)
        elif selector:
            item = sfn._resolve_params_obj(selector, sfn._apply_input_path(state, data, ctx), own)
        pairs.append((own, item))
    return pairs


def _distributed(state: State, processor: dict[str, Any], data: Any, ctx: Context) -> Any:
    items = [item for _, item in _inputs(state, _items(state, data, ctx), data, ctx)]
    if "ItemBatcher" in state:
        fixed = state["ItemBatcher"].get("BatchInput")
        fixed = sfn._apply_jsonata_template(fixed, data, ctx) if is_jsonata(state, ctx) else fixed
        items = batched(items, state["ItemBatcher"], fixed)
    run = MapRun(state, processor, items, int(number(state, "MaxConcurrency", data, ctx, 0)))
    for field in ("ToleratedFailurePercentage", "ToleratedFailureCount"):
        if field in state or f"{field}Path" in state:
            run.tolerate(field, number(state, field, data, ctx, 0))
    # A child workflow sees none of the variables outside; ItemSelector passes what it needs.
    results = run.execute({**ctx, "variables": {}})
    return _written(state, run, results, data, ctx) if "ResultWriter" in state else results


def _written(state: State, run: MapRun, results: list[Any], data: Any, ctx: Context) -> dict[str, Any]:
    writer = state["ResultWriter"]
    where = writer.get("Arguments") if is_jsonata(state, ctx) else writer.get("Parameters")
    if is_jsonata(state, ctx):
        where = sfn._apply_jsonata_template(where, data, ctx)
    else:
        where = sfn._resolve_params_obj(where, data, ctx)
    return run.write(where["Bucket"], where.get("Prefix", ""))
