"""Pipelines that read files, on a laptop target: days of sensors (`rul`), and a meter's files (`energy`)."""

import io
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from ratchet.catalog import Pipeline, load, names
from ratchet.instants import iso, parse_instant, run_name, utc_now
from ratchet.sources import MeterFiles
from ratchet.tables.split import PARTS

from tests.laptop_target import LaptopTarget, until
from tests.sensor_files import MIDDLE, lines

RUL, ENERGY = load("rul"), load("energy")
INCOMING = ENERGY.source_as(MeterFiles).prefix
MACHINES, DAYS, EVERY = 12, 24, 30
METER_DAYS, HELD = 365, 4
"""Days of the household, so many that every chance is judged alike, and how many of its readings come later: those of
the newest hour."""
HORIZONS = 96
LANDS_WITHIN = 60
"""Seconds from an upload to what its event does, on a machine that has much else to do."""
OTHER_COLUMNS = f"{INCOMING}other.csv"


def landing(laptop: LaptopTarget, pipeline: Pipeline) -> dict[str, str]:
    """Every landed object with its version."""
    return {row.key: row.etag for row in laptop.store.list(f"{pipeline.prefix}landing/")}


def readings(laptop: LaptopTarget) -> list[dict[str, Any]]:
    """What the documents say of the meter's files that have landed."""
    keys = [key for key in landing(laptop, ENERGY) if key.endswith(".json")]
    return [laptop.document(key) for key in keys]


def status(laptop: LaptopTarget, pipeline: Pipeline) -> dict[str, Any]:
    (row,) = (row for row in laptop.ratchet("status") if row["pipeline"] == pipeline.name)
    return dict(row)


# ---------------------------------------------------------------------------------------------------------------- rul
@pytest.fixture(scope="module")
def machines(laptop: LaptopTarget) -> dict[str, Any]:
    """Days of machines, up to now; runs of instants from `at` on look at the same days, whenever midnight is."""
    told = laptop.ratchet(
        "seed", "rul", "--machines", str(MACHINES), "--days", str(DAYS), "--every-minutes", str(EVERY), "--yes"
    )
    return {**told, "at": utc_now().replace(microsecond=0), "status": status(laptop, RUL)}


def before_today(machines: dict[str, Any]) -> int:
    """Records that the seed wrote of days of the site that are over."""
    seoul = machines["at"] + timedelta(hours=9)
    samples = (seoul.hour * 60 + seoul.minute) // EVERY + 1
    return int(machines["records"]) - MACHINES * len(MIDDLE) * samples


@pytest.fixture(scope="module")
def judged(laptop: LaptopTarget, machines: dict[str, Any]) -> Any:
    """The first run over them."""
    return laptop.ratchet("run", "rul", "--at", iso(machines["at"]))


@pytest.fixture(scope="module")
def sampled(laptop: LaptopTarget, machines: dict[str, Any], judged: Any) -> Any:
    """A run of the same days that asks for a few rows of them."""
    before, at = landing(laptop, RUL), iso(machines["at"] + timedelta(seconds=1))
    ran = laptop.ratchet("run", "rul", "--at", at, "--input", '{"sample": 500}')
    return {**ran, "before": before, "after": landing(laptop, RUL)}


def of_june(laptop: LaptopTarget) -> Any:
    """A run of a month in which no machine of the seed wrote."""
    return laptop.ratchet("run", "rul", "--input", '{"month": "2025-06"}')


def write(laptop: LaptopTarget, day: str, name: str, *more: bytes) -> None:
    """A file of a machine's hour on that day of the site; `more` are further lines."""
    about = {"zoneId": "zone-x", "equipId": "june", "category": "EQUIPMENT", "time": f"{day}T10:30:00"}
    body = lines({**about, "sensorType": sensor, "val": value} for sensor, value in MIDDLE.items())
    key = f"EQUIPMENT/date={day}/zone_id=zone-x/equip_id=june/equip-{name}-0.json"
    laptop.store.put(key, body + b"".join(line + b"\n" for line in more))


def test_before_a_run_nothing_has_landed_or_been_trained(machines: dict[str, Any]) -> None:
    blank = {"champion": None, "last_run": None, "approval": None, "lease": None, "landed": {}, "data": None}
    assert machines["status"] == {"pipeline": "rul", **blank}


def test_machines_are_judged_with_evidence_and_a_card(laptop: LaptopTarget, judged: Any, tmp_path: Path) -> None:
    assert judged["outcome"] in {"promoted", "kept_champion"}
    run, keys = judged["run_ts"], RUL.keys
    evaluation = laptop.document(keys.evaluation(run))
    assert (evaluation["verdict"], evaluation["reason"]) == (judged["verdict"], judged["reason"])
    assert evaluation["floors"]["r2"]["limit"] == RUL.gate.floors["r2"]
    pointer = laptop.etag(keys.pointer())
    assert (pointer is not None) == (judged["outcome"] == "promoted") == (judged["verdict"] == "promote")
    page = Path(laptop.ratchet("card", "rul", run, "--output", str(tmp_path / "card.html"))["path"]).read_text()
    assert run in page
    assert all(f"20250507171316-{number:03d}" in page for number in range(1, MACHINES + 1))


def test_whole_days_have_landed_each_as_a_part(laptop: LaptopTarget, machines: dict[str, Any], judged: Any) -> None:
    landed = status(laptop, RUL)["landed"]["hours"]
    # A run of 21 days also reads those before, which its rows look back over; the present day is not whole yet.
    assert (landed["parts"], landed["records"], landed["rejected"]) == (DAYS, before_today(machines), 0)
    yesterday = machines["at"] + timedelta(hours=9 - 24)
    assert landed["newest"] == f"{yesterday:%Y-%m-%d}"
    manifest = laptop.document(RUL.keys.manifest(judged["run_ts"]))
    assert (manifest["synthetic"], manifest["source"]) == (True, machines["source"])
    assert set(manifest["about"]["sensors"]) == {
        *("temperature", "pressure", "vibration", "humidity", "active_power", "reactive_power")
    }


def test_what_has_landed_is_not_landed_again(laptop: LaptopTarget, sampled: Any) -> None:
    assert "Extract the parts" not in laptop.visited(sampled["execution"])
    assert sampled["after"] == sampled["before"]


def test_a_sample_is_so_many_rows(laptop: LaptopTarget, sampled: Any) -> None:
    assert sampled["outcome"] in {"promoted", "kept_champion"}
    manifest = laptop.document(RUL.keys.manifest(sampled["run_ts"]))
    assert (manifest["sample"], sum(manifest["counts"][part] for part in PARTS)) == (500, 500)


def test_a_scheduled_run_without_new_files_skips(laptop: LaptopTarget, machines: Any, sampled: Any) -> None:
    at = machines["at"] + timedelta(seconds=2)
    ended = laptop.ended(laptop.start({"scheduledTime": iso(at)}, "rul"))
    assert json.loads(ended["output"])["outcome"] == "no_new_rows", ended
    assert laptop.document(RUL.keys.lease())["state"] == "free"


def test_a_month_with_too_little_says_each_number(laptop: LaptopTarget, machines: dict[str, Any]) -> None:
    ended = of_june(laptop)
    assert ended["outcome"] == "not_enough_data"
    needed = "0 records (50,000 needed), 0 days (7 needed), 0 machines (2 needed), 0 sensors (2 needed)"
    assert needed in ended["reason"]


def test_a_new_file_makes_its_day_land_again_and_no_other(laptop: LaptopTarget, machines: dict[str, Any]) -> None:
    for day in ("2025-06-10", "2025-06-11"):
        write(laptop, day, "a")
    assert "12 records (50,000 needed), 2 days" in of_june(laptop)["reason"]
    before = landing(laptop, RUL)
    write(laptop, "2025-06-10", "b", b'{"zoneId": "zone-x", "equ')
    ended = of_june(laptop)
    told = "18 records (50,000 needed), 2 days (7 needed), 1 machines (2 needed), 6 sensors (2 needed); 1 records were"
    assert told in ended["reason"]
    after = landing(laptop, RUL)
    changed = {key.rpartition("/")[2] for key in after if after[key] != before.get(key)}
    assert changed == {"dt=2025-06-10.json", "dt=2025-06-10.parquet"}


@pytest.mark.parametrize(
    ("pipeline", "document", "said"),
    [
        (RUL, {"limit": 5}, "'limit' is unknown (known: at, month, resume, sample, scheduledTime, skipDataPrep)"),
        (ENERGY, {"month": "2025-06"}, "'month' is unknown (known: at, resume, sample, scheduledTime, skipDataPrep)"),
        (RUL, {"month": "June"}, "month is 'June', not a month such as 2025-06"),
        (ENERGY, {"sample": -1}, "sample is -1, not a whole number of rows"),
    ],
    ids=lambda value: value.name if isinstance(value, Pipeline) else None,
)
def test_an_input_that_the_pipeline_does_not_take(
    laptop: LaptopTarget, pipeline: Pipeline, document: dict[str, Any], said: str
) -> None:
    """By `ratchet run` it costs no execution; by any other client a red one, which is no run."""
    claims = [row.key for row in laptop.store.list(f"{pipeline.prefix}runs/")]
    call = laptop.call("run", pipeline.name, "--input", json.dumps(document))
    assert (call.code, call.document, said in call.complaint) == (2, None, True), call.stderr
    ended = laptop.ended(laptop.start(document, pipeline.name))
    assert (ended["status"], ended["error"], said in ended["cause"]) == ("FAILED", "BadInput", True), ended
    assert "run_ts" not in until(lambda: looked_after(laptop, ended["executionArn"]))[0]["fields"]
    assert [row.key for row in laptop.store.list(f"{pipeline.prefix}runs/")] == claims


def looked_after(laptop: LaptopTarget, execution: str) -> list[dict[str, Any]]:
    """What is logged once a failed execution has been cleared away."""
    rows = laptop.call("logs", "free_lease", "--since", "5").document or []
    return [row for row in rows if row["fields"].get("execution") == execution]


# ------------------------------------------------------------------------------------------------------------- energy
@pytest.fixture(scope="module")
def uploaded(laptop: LaptopTarget) -> dict[str, Any]:
    """A household's file, and what has come of it though nobody ran anything."""
    told = laptop.ratchet("seed", "energy", "--days", str(METER_DAYS), "--yes")
    return {**told, "landed": until(lambda: readings(laptop), LANDS_WITHIN)}


@pytest.fixture(scope="module")
def spoiled(laptop: LaptopTarget, uploaded: dict[str, Any]) -> dict[str, Any]:
    """The file without its newest hour, but with lines that are no readings; it has landed as it is now."""
    (part,) = uploaded["landed"]
    stored = laptop.store.get(part["about"]["file"])
    assert stored is not None
    header, *whole = stored.body.splitlines(keepends=True)
    kept, held = whole[:-HELD], whole[-HELD:]
    day, time, value, rest = kept[-1].split(b";", 3)
    bad = [
        b"no reading\n",
        b";".join([b"31/02/2026", time, value, rest]),
        b";".join([day, time, b"much", rest]),
    ]
    laptop.store.put(part["about"]["file"], b"".join([header, *kept, *bad, kept[-1].rstrip(b"\n")]))
    until(lambda: readings(laptop)[0]["sources"] != part["sources"], LANDS_WITHIN)
    return {"header": header, "held": held, "readings": len(kept)}


@pytest.fixture(scope="module")
def refused(laptop: LaptopTarget, spoiled: dict[str, Any]) -> Any:
    """A file of other columns was there for a while: what the function said of it, and a run meanwhile."""
    laptop.store.put(OTHER_COLUMNS, b"when;watts\n2026-11-01 00:00:00;300\n")

    def told() -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = laptop.ratchet("logs", "--since", "5")
        return [row for row in rows if row["level"] == "ERROR" and OTHER_COLUMNS in row["message"]]

    logged = until(told, LANDS_WITHIN)
    ran = laptop.ratchet("run", "energy", code=1)
    laptop.client("s3").delete_object(Bucket=laptop.store.bucket, Key=OTHER_COLUMNS)
    return {**ran, "logged": logged[0]["message"], "lease": laptop.document(ENERGY.keys.lease())}


@pytest.fixture(scope="module")
def first(laptop: LaptopTarget, refused: Any) -> Any:
    """The run that the first champion comes from."""
    return laptop.ratchet("run", "energy")


@pytest.fixture(scope="module")
def forecast(laptop: LaptopTarget, first: Any) -> Any:
    """The first forecast."""
    return laptop.ratchet("score", "energy")


def answers(laptop: LaptopTarget, slot: str) -> list[dict[str, Any]]:
    """What was predicted for a slot."""
    instant = parse_instant(slot)
    stored = laptop.store.get(ENERGY.keys.predictions(instant.date(), run_name(instant)))
    assert stored is not None, slot
    return [json.loads(line) for line in stored.body.splitlines()]


def ends(spoiled: dict[str, Any], uploaded: dict[str, Any]) -> list[datetime]:
    """When each step of the newest hour ended, and the one before it."""
    last = datetime.fromisoformat(uploaded["last"])
    return [last + timedelta(minutes=15 * (1 - back)) for back in range(HELD, -1, -1)]


def test_a_meters_file_lands_when_it_is_created(laptop: LaptopTarget, uploaded: dict[str, Any]) -> None:
    (part,) = uploaded["landed"]
    assert (part["records"], part["rejected"]) == (METER_DAYS * 96, {})
    assert part["about"] == {"file": f"{INCOMING}household.csv", "step_minutes": 15, "days": METER_DAYS + 1}
    assert (part["synthetic"], part["source"]) == (True, uploaded["source"])


def test_a_file_of_other_columns_is_an_error_that_names_it(refused: Any) -> None:
    said = f"The first line of {OTHER_COLUMNS} ('when;watts') has the columns of no layout (uci: Date;Time"
    assert refused["logged"].startswith(f"SourceMismatch: {said}")
    assert "hourly: datetime,Global_active_power): correct the file or source.layouts" in refused["logged"]
    assert (refused["outcome"], refused["error"]) == ("failed", "SourceMismatch")
    assert refused["reason"].startswith(said)
    assert refused["lease"]["state"] == "free"


def test_a_run_without_it_is_judged(laptop: LaptopTarget, first: Any, tmp_path: Path) -> None:
    assert (first["outcome"], first["verdict"]) == ("promoted", "promote"), first["reason"]
    evaluation = laptop.document(ENERGY.keys.evaluation(first["run_ts"]))
    assert abs(evaluation["coverage"]["measured"] - 0.8) <= 0.1
    assert set(evaluation["comparison"]["baselines"]) == {"yesterday", "last_week"}
    assert len(evaluation["groups"]) == HORIZONS
    page = Path(laptop.ratchet("card", "energy", "--output", str(tmp_path / "card.html"))["path"]).read_text()
    assert first["run_ts"] in page


def test_lines_that_are_no_readings_are_set_aside_and_counted_for(
    laptop: LaptopTarget, spoiled: dict[str, Any], first: Any
) -> None:
    reasons = ("another number of columns", "cut off", "time is no instant", "value is no number")
    manifest = laptop.document(ENERGY.keys.manifest(first["run_ts"]))
    assert manifest["counts"]["rejected"] == {f"readings: {reason}": 1 for reason in reasons}
    kept = laptop.store.get(ENERGY.keys.set_aside(first["run_ts"]))
    assert kept is not None
    rows = pq.read_table(io.BytesIO(kept.body)).to_pylist()
    assert sorted(row["reason"] for row in rows) == list(reasons)
    assert {"no reading"} < {row["row"] for row in rows}
    assert spoiled["readings"] in {part["records"] for part in readings(laptop)}


def test_a_forecast_is_a_line_for_every_horizon(
    laptop: LaptopTarget, spoiled: dict[str, Any], uploaded: dict[str, Any], first: Any, forecast: Any
) -> None:
    origin, *_ = ends(spoiled, uploaded)
    assert forecast == {"scored": [iso(origin)], "skipped": [], "model_run_ts": first["run_ts"]}
    rows = answers(laptop, iso(origin))
    ahead = [timedelta(minutes=15 * step) for step in range(1, HORIZONS + 1)]
    assert [parse_instant(row["target_ts"]) for row in rows] == [origin + each for each in ahead]
    assert {(row["base_ts"], row["model_run_ts"]) for row in rows} == {(iso(origin), first["run_ts"])}
    for row in rows:
        low, middle, high = (row["pred"][name] for name in ENERGY.gate.quantiles)
        assert 0 < low <= middle <= high
    assert rows[0]["pred"] != rows[48]["pred"]


def test_a_second_call_scores_nothing_and_so_does_the_schedule(laptop: LaptopTarget, forecast: Any) -> None:
    nothing = {**forecast, "scored": []}
    before = {row.key: row.etag for row in laptop.store.list("energy/predictions/")}
    assert laptop.ratchet("score", "energy") == nothing
    event = {"pipeline": "energy", "scheduledTime": iso(utc_now().replace(microsecond=0))}
    function = laptop.target.output("ScoreFunction")
    answer = laptop.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
    assert json.loads(answer["Payload"].read()) == nothing
    assert {row.key: row.etag for row in laptop.store.list("energy/predictions/")} == before


def test_newer_readings_land_by_themselves_and_are_forecast_from(
    laptop: LaptopTarget, spoiled: dict[str, Any], uploaded: dict[str, Any], forecast: Any
) -> None:
    laptop.store.put(f"{INCOMING}newest.csv", b"".join([spoiled["header"], *spoiled["held"]]))
    until(lambda: len(readings(laptop)) == 2, LANDS_WITHIN)
    _, *origins = ends(spoiled, uploaded)
    assert laptop.ratchet("score", "energy")["scored"] == [iso(origin) for origin in origins]
    assert len(answers(laptop, iso(origins[-1]))) == HORIZONS


def test_a_rollback_goes_by_the_pipelines_own_keys(laptop: LaptopTarget, first: Any) -> None:
    keys = ENERGY.keys
    pointer = laptop.document(keys.pointer())
    assert (pointer["run_ts"], pointer["seq"]) == (first["run_ts"], 1)
    # As if a later run's model, which is the same one, had been promoted.
    later = {**pointer, "run_ts": run_name(utc_now()), "seq": 2, "previous": first["run_ts"], "previous_seq": 1}
    laptop.store.put(keys.history(2), json.dumps({**later, "who": "gate", "why": "better"}).encode())
    laptop.store.put(keys.pointer(), json.dumps(later).encode())
    told = laptop.ratchet("rollback", "energy", "--why", "its nights are wrong")
    assert (told["from_run_ts"], told["to_run_ts"], told["seq"]) == (later["run_ts"], first["run_ts"], 3)
    moves = laptop.ratchet("history", "energy")
    assert [(move["seq"], move["move"], move["run_ts"]) for move in moves] == [
        (3, "rollback", first["run_ts"]),
        (2, "promote", later["run_ts"]),
        (1, "promote", first["run_ts"]),
    ]
    assert moves[0]["why"] == "its nights are wrong"
    assert laptop.ratchet("score", "energy")["model_run_ts"] == first["run_ts"]


def test_status_tells_how_each_pipeline_stands(
    laptop: LaptopTarget, machines: dict[str, Any], judged: Any, sampled: Any, first: Any
) -> None:
    rows = {row["pipeline"]: row for row in laptop.ratchet("status")}
    assert set(rows) == set(names())
    assert rows["energy"]["champion"] == laptop.document(ENERGY.keys.pointer())
    assert rows["energy"]["last_run"]["outcome"] == "promoted"
    assert rows["energy"]["data"]["run_ts"] == first["run_ts"]
    assert rows["energy"]["landed"]["readings"]["rejected"] == 4
    assert rows["rul"]["last_run"]["outcome"] in {"no_new_rows", "not_enough_data"}
    assert rows["rul"]["data"]["run_ts"] == sampled["run_ts"]
    shown = " ".join(laptop.plain("status").stdout.split())
    assert f"landed hours {DAYS + 2} parts, {before_today(machines) + 18:,} records" in shown
    assert f"landed readings 2 parts, {METER_DAYS * 96:,} records" in shown
