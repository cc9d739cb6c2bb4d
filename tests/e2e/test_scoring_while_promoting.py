"""Scoring while promotion happens: eight callers of the deployed function, a pointer that moves every second, one
bundle in ten corrupt, rollbacks in between, and scorers that start amid all that. Every single answer is checked.
"""

import contextlib
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count, cycle, pairwise
from threading import Event
from typing import Any

import numpy as np
import pytest
from ratchet.instants import parse_instant, run_name

from tests import queues
from tests.bundles import TARGETS
from tests.faults import figures
from tests.laptop_target import KEYS, LaptopTarget, until
from tests.promotions import CORRUPTIONS, Moved, Promotions
from tests.scorers import SCORERS, Call, Held, Scoring, predictions, sent

SECONDS = float(os.environ.get("RATCHET_SCORING_SECONDS", "60"))
SEED = int(os.environ.get("RATCHET_SCORING_SEED", "1"))
CORRUPT, BACK = 5, 8
"""Which of ten moves is to a corrupt bundle, and which is a rollback."""
RENEWED = (CORRUPT, CORRUPT + 7)
"""The moves at which all scorers start anew: onto a corrupt bundle, and onto a sound one."""
ALARM = "returnsChampionNotServingAlarm"


@dataclass
class Storm:
    """Moves the pointer while scorers answer; remembers both, and what the scorers' processes held."""

    scoring: Scoring
    promotions: Promotions
    renewed: list[tuple[Moved, float]] = field(default_factory=list)
    held: dict[str, list[Held]] = field(default_factory=dict)
    since: float = field(default_factory=time.time)

    def rage(self) -> None:
        """A move a second until the time is up, later where the machine is so slow that nobody has answered since."""
        rng, faults, end = random.Random(SEED), cycle(CORRUPTIONS), time.monotonic() + SECONDS
        for number in count(1):
            due = time.monotonic() + 1
            self.scoring.feed()
            moved = self._move(number % 10, faults, rng)
            if number in RENEWED:
                self.scoring.laptop.renew("ScoreFunction")
                self.renewed.append((moved, time.monotonic()))
            self.look()
            time.sleep(max(0.0, due - time.monotonic()))
            until(lambda moved=moved, cold=number in RENEWED: self._met(moved, cold))
            if time.monotonic() > end and number > CORRUPT + 10:
                return

    def _move(self, kind: int, faults: Iterator[str], rng: random.Random) -> Moved:
        if kind == BACK:
            return self.promotions.back(rng)
        return self.promotions.new(next(faults) if kind == CORRUPT else None)

    def _met(self, move: Moved, cold: bool) -> bool:
        """Whether a scorer has answered since; those that started at a corrupt bundle do not."""
        calls = [call for call in self.scoring.calls[-10 * SCORERS :] if call.began > move.ended]
        return any(cold or call.error is None for call in calls)

    def look(self) -> None:
        """At the processes."""
        for process in self.scoring.laptop.runtimes("ScoreFunction"):
            with contextlib.suppress(OSError):
                self.held.setdefault(process.name, []).append(Held.by(process))

    def pointed(self, call: Call) -> list[Moved]:
        """Where the pointer may have stood when the call read it: it does so once."""
        moves = self.promotions.moves
        until_when = [*(after.ended for _, after in pairwise(moves)), float("inf")]
        spans = zip(moves, until_when, strict=True)
        return [move for move, end in spans if move.began <= call.ended and end >= call.began]

    def amid(self, move: Moved) -> list[Call]:
        """The calls that ran while the pointer stood at that move and nowhere else."""
        return [call for call in self.scoring.calls if self.pointed(call) == [move]]

    def logged(self) -> list[dict[str, Any]]:
        """The documents that the functions logged."""
        target, since = self.scoring.laptop.target, int(self.since * 1000)
        pages = target.client("logs").get_paginator("filter_log_events")
        # Without the platform's lines: the emulator gives 10,000 events and no next page.
        wanted = {"logGroupName": target.output("FunctionLogGroup"), "filterPattern": '-"RequestId:"'}
        found = pages.paginate(**wanted, startTime=since)
        return [json.loads(text) for page in found for each in page["events"] if (text := each["message"])[:1] == "{"]

    def errors(self) -> float:
        """The errors of the function that Lambda has counted."""
        dimensions = [{"Name": "FunctionName", "Value": self.scoring.function}]
        metric = {"Namespace": "AWS/Lambda", "MetricName": "Errors", "Dimensions": dimensions, "Statistics": ["Sum"]}
        span = {"StartTime": self.since - 3600, "EndTime": time.time() + 3600, "Period": 86400}
        found = self.scoring.laptop.client("cloudwatch").get_metric_statistics(**metric, **span)
        return sum(point["Sum"] for point in found["Datapoints"])


@contextlib.contextmanager
def put_back(scoring: Scoring) -> Iterator[None]:
    """Leaves bucket and table as they were."""
    store, client = scoring.laptop.store, scoring.laptop.client("s3")

    def keys() -> set[str]:
        return {row.key for prefix in ("model/", "predictions/") for row in store.list(prefix)}

    before, moving = keys(), (KEYS.pointer(), KEYS.scoring_state())
    bodies = {key: stored.body for key in moving if (stored := store.get(key))}
    try:
        yield
    finally:
        for key in keys() - before:
            client.delete_object(Bucket=store.bucket, Key=key)
        for key, body in bodies.items():
            store.put(key, body)
        for base_ts in scoring.fed:
            scoring.laptop.sql(f"delete from ai_outputs where base_ts = '{base_ts}'")


@pytest.fixture(scope="module")
def told(laptop: LaptopTarget) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What people are newly told of the alarm on the champion, which is quiet at first."""
    stack = laptop.target.stack
    found = laptop.client("cloudformation").describe_stack_resource(StackName=stack, LogicalResourceId=ALARM)
    name = found["StackResourceDetail"]["PhysicalResourceId"]
    laptop.client("cloudwatch").set_alarm_state(AlarmName=name, StateValue="OK", StateReason="a test begins")
    with queues.messages(laptop, "told") as queue:

        def messages() -> list[dict[str, Any]]:
            documents = [json.loads(json.loads(body)["Message"]) for body in queue.read()]
            return [document for document in documents if document.get("AlarmName") == name]

        yield messages


@pytest.fixture(scope="module")
def storm(laptop: LaptopTarget, told: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storm]:
    storm = Storm(Scoring(laptop), Promotions(laptop.store, tmp_path_factory.mktemp("bundles")))
    with put_back(storm.scoring):
        storm.promotions.new()
        storm.scoring.feed()
        # The first call ever scores the newest row alone; all later ones leave none out.
        storm.scoring.calls.append(storm.scoring.call(None))
        over = Event()
        with ThreadPoolExecutor(SCORERS) as pool:
            callers = [pool.submit(storm.scoring.call_until, over, seed) for seed in range(SCORERS)]
            try:
                storm.rage()
            finally:
                over.set()
        for caller in callers:
            caller.result()
        storm.look()
        report(storm)
        # Wherever the storm ended.
        storm.promotions.new()
        yield storm


def report(storm: Storm) -> None:
    calls, moves = storm.scoring.calls, storm.promotions.moves[1:]
    ordered = sorted(calls, key=lambda call: call.began)
    starts = [ordered[0].began, *(started for _, started in storm.renewed)]
    cold = {call.began for start in starts for call in [each for each in ordered if each.began >= start][:SCORERS]}
    warm = [call for call in calls if call.rows is not None and call.began not in cold]
    (p50, p99), (_, warm_p99) = (
        np.percentile([1000 * (call.ended - call.began) for call in some], [50, 99]) for some in (calls, warm)
    )
    longest = max(storm.held.values(), key=len)
    rows = {
        "requests": len(calls),
        "of them for slots": sum(call.rows is None for call in calls),
        "requests a second": round(len(calls) / (ordered[-1].ended - ordered[0].began)),
        "p50, ms": round(p50),
        "p99, ms": round(p99),
        "p99 of rows at warm scorers, ms": round(warm_p99),
        "moves of the pointer": len(moves),
        "to a corrupt bundle": sum(move.release.fault is not None for move in moves),
        "rollbacks": sum(move.release.wish.kind == "rollback" for move in moves),
        "answered while the pointer was corrupt": sum(
            all(move.release.fault for move in storm.pointed(call)) and not call.error for call in calls
        ),
        "refused by name": sum(call.error is not None for call in calls),
        "cold starts": len(storm.held),
        "memory of the longest-lived scorer half-way, MiB": round(longest[len(longest) // 2].mib),
        "and at the end": round(longest[-1].mib),
    }
    figures.add(f"Scoring while promoting, {SCORERS} callers, seed {SEED}", ["", "count"], rows.items())


def test_every_answer_is_of_one_model_and_the_one_that_it_names(storm: Storm) -> None:
    scales = {move.serving.wish.run_ts: move.serving.scale for move in storm.promotions.moves}
    scored = [call for call in storm.scoring.calls if call.rows is not None and call.error is None]
    assert len(scored) > SCORERS
    for call in scored:
        (run,) = call.runs
        assert [answer["base_ts"] for answer in call.answer] == [sent(row)["base_ts"] for row in call.rows or []]
        told = [[answer["pred"][target] for target in TARGETS] for answer in call.answer]
        assert told == predictions(call.rows or [], scales[run]), run


def test_that_model_was_in_service_while_the_call_ran(storm: Storm) -> None:
    for call in storm.scoring.calls:
        if call.error is None:
            assert call.runs <= {move.serving.wish.run_ts for move in storm.pointed(call)}, call


def test_a_call_fails_only_where_a_scorer_without_the_champion_before_meets_a_corrupt_one(storm: Storm) -> None:
    for call in storm.scoring.calls:
        if call.error is not None:
            assert call.error == "BadBundle", call.answer
            assert any(move.release.fault for move in storm.pointed(call)), call


def test_a_corrupt_bundle_is_refused_with_its_reason_and_counted_while_the_champion_before_serves(storm: Storm) -> None:
    logged = storm.logged()
    reasons = [line["reason"] for line in logged if line.get("message") == "A newer champion does not serve"]
    cold = [move for move, _ in storm.renewed]
    corrupt = [move for move in storm.promotions.moves if move.release.fault and move not in cold]
    assert corrupt
    for move in corrupt:
        assert {run for call in storm.amid(move) if not call.error for run in call.runs} == {move.serving.wish.run_ts}
        assert any(CORRUPTIONS[str(move.release.fault)][1] in reason for reason in reasons), move
    assert sum(line["ChampionNotServing"] == [1.0] for line in logged if "ChampionNotServing" in line) == len(reasons)


def test_a_person_is_told_that_a_champion_does_not_serve(
    storm: Storm, told: Callable[[], list[dict[str, Any]]]
) -> None:
    message = until(told)[0]
    assert (message["NewStateValue"], "returns" in message["AlarmDescription"]) == ("ALARM", True)


def test_every_slot_is_written_by_the_model_that_it_names_and_that_the_call_named(storm: Storm) -> None:
    scales = {move.serving.wish.run_ts: move.serving.scale for move in storm.promotions.moves}
    last = storm.scoring.call(None)
    answers = [call for call in [*storm.scoring.calls, last] if call.rows is None and call.error is None]
    runs = {base_ts: call.runs for call in answers for base_ts in call.answer["scored"]}
    assert set(runs) == set(storm.scoring.fed)
    for base_ts, run in runs.items():
        instant = parse_instant(base_ts)
        written = storm.scoring.laptop.document(KEYS.predictions(instant.date(), run_name(instant)))
        assert {written["model_run_ts"]} == run
        told = [written["pred"][target] for target in TARGETS]
        assert [told] == predictions([storm.scoring.fed[base_ts]], scales[written["model_run_ts"]])


def test_hundreds_of_models_leave_no_file_and_no_handle_behind(storm: Storm) -> None:
    last = [Held.by(process) for process in storm.scoring.laptop.runtimes("ScoreFunction")]
    assert [held.scratch for held in last] == [[]] * len(last)
    assert max(held.files for held in last) < 32


def test_scorers_that_start_at_a_corrupt_bundle_refuse_it_by_name_and_count_as_errors_however_they_are_called(
    storm: Storm,
) -> None:
    before, scoring = storm.errors(), storm.scoring
    scoring.laptop.renew("ScoreFunction")
    for fault, (_, words) in CORRUPTIONS.items():
        storm.promotions.new(fault)
        refused = scoring.call_at_once()
        assert {call.error for call in refused} == {"BadBundle"}
        assert [call for call in refused if words not in call.answer["errorMessage"]] == []
    assert storm.errors() - before == SCORERS * len(CORRUPTIONS)
    sound = storm.promotions.new()
    assert [call.runs for call in scoring.call_at_once()] == [{sound.release.wish.run_ts}] * SCORERS
