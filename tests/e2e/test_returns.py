"""The story of `returns` on a laptop target, told by the command line: what a stranger does, and what then is there."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from botocore.exceptions import ClientError
from ratchet.instants import iso, parse_instant, run_name, utc_now
from ratchet.serving.bundle import read_bundle

from tests.laptop_target import KEYS, LaptopTarget, until

ROWS, LATE = 2000, 1400
"""Windows that are seeded, and how many of them, the newest, are there only once the first champion is in service."""


@pytest.fixture(scope="module")
def seeded(laptop: LaptopTarget) -> LaptopTarget:
    """Both tables seeded, their newest rows set aside."""
    told = laptop.ratchet("seed", "returns", "--rows", str(ROWS), "--yes")
    assert (told["rows"], told["synthetic"]) == (ROWS, True)
    assert not list(laptop.store.list("model/"))
    for table, key in (("ai_outputs", "base_ts"), ("simulations_10m", "ts")):
        late = f"late_{table}"
        laptop.sql(
            f"drop table if exists {late}",
            f"create table {late} as select * from {table} order by {key} desc limit {LATE}",
            f"delete from {table} using {late} where {table}.{key} = {late}.{key}",
        )
    return laptop


@pytest.fixture(scope="module")
def first(seeded: LaptopTarget) -> Any:
    """The run that the first champion comes from."""
    return seeded.run()


@pytest.fixture(scope="module")
def second(seeded: LaptopTarget, first: Any) -> Any:
    """A run of the same rows, and one that was started meanwhile."""
    execution = seeded.ratchet("run", "returns", "--detach")["execution"]
    until(lambda: seeded.document(KEYS.lease())["execution"] == execution)
    # Within the same second it would be the same run: the second is a manual run's name.
    time.sleep(1)
    overlapping = seeded.run(code=3)
    ended = seeded.ended(execution)
    assert ended["status"] == "SUCCEEDED", ended
    return {"execution": execution, "overlapping": overlapping, **json.loads(ended["output"])}


@pytest.fixture(scope="module")
def grown(seeded: LaptopTarget, second: Any) -> Any:
    """A run after newer rows have come."""
    for table in ("ai_outputs", "simulations_10m"):
        seeded.sql(f"insert into {table} select * from late_{table}")
    return seeded.run()


@pytest.fixture(scope="module")
def rows(seeded: LaptopTarget, grown: Any) -> list[dict[str, Any]]:
    """A thousand source rows as a client would send them, the newest first."""
    found = seeded.sql(
        "select base_ts, embedding_a, embedding_b from ai_outputs where base_ts <= now() order by 1 desc limit 1000"
    )
    return [{"base_ts": iso(at), "embedding_a": a, "embedding_b": b} for at, a, b in found]


@pytest.fixture(scope="module")
def expected(seeded: LaptopTarget, grown: Any, rows: list[dict[str, Any]], tmp_path_factory: Any) -> np.ndarray:
    """What the champion's own graph says of the rows, [rows, targets] in percent."""
    folder = tmp_path_factory.mktemp("champion")
    seeded.store.download(KEYS.model(grown["run_ts"]), folder / "model.tar.gz")
    bundle = read_bundle(folder / "model.tar.gz", folder / "read", "returns")
    session = onnxruntime.InferenceSession(bundle.model_path, providers=["CPUExecutionProvider"])
    features = np.array([row["embedding_a"] + row["embedding_b"] for row in rows], np.float32)
    return np.asarray(session.run(["predictions"], {"features": features})[0])


def agree(answers: list[dict[str, Any]], rows: list[dict[str, Any]], expected: np.ndarray, run_ts: str) -> None:
    assert [answer["base_ts"] for answer in answers] == [row["base_ts"] for row in rows]
    assert {answer["model_run_ts"] for answer in answers} == {run_ts}
    told = np.array([list(answer["pred"].values()) for answer in answers])
    np.testing.assert_allclose(told, expected[: len(rows)], atol=1e-5)


def test_the_first_run_is_promoted(seeded: LaptopTarget, first: Any) -> None:
    assert (first["outcome"], first["verdict"]) == ("promoted", "promote")
    assert first["reason"].startswith("Better than every naive baseline")
    pointer = seeded.document(KEYS.pointer())
    assert (pointer["run_ts"], pointer["seq"], pointer["previous"]) == (first["run_ts"], 1, None)
    assert seeded.store.head(seeded.store.key_of(pointer["model_uri"]))
    assert seeded.document(KEYS.lease())["state"] == "free"
    assert seeded.document(KEYS.claim(first["run_ts"]))["outcome"] == "promoted"


def test_its_card_is_one_page_that_says_why(seeded: LaptopTarget, first: Any, tmp_path: Path) -> None:
    path = Path(seeded.ratchet("card", "returns", first["run_ts"], "--output", str(tmp_path / "card.html"))["path"])
    page = path.read_text()
    assert page.lower().startswith("<!doctype html>")
    assert first["run_ts"] in page
    assert "Better than every naive baseline" in page
    assert 'src="http' not in page


@pytest.fixture
def training(seeded: LaptopTarget) -> Any:
    """An S3 client with the training role's rights; SageMaker alone may take that role, so we join it for the while."""
    formation, iam = seeded.client("cloudformation"), seeded.client("iam")
    told = formation.describe_stack_resource(StackName="ratchet", LogicalResourceId="TrainingRole")
    role = iam.get_role(RoleName=told["StackResourceDetail"]["PhysicalResourceId"])["Role"]
    trusted = role["AssumeRolePolicyDocument"]
    ours = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{role['Arn'].split(':')[4]}:root"}}
    joined = {**trusted, "Statement": [*trusted["Statement"], {**ours, "Action": "sts:AssumeRole"}]}
    iam.update_assume_role_policy(RoleName=role["RoleName"], PolicyDocument=json.dumps(joined))
    try:
        given = seeded.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="look")["Credentials"]
    finally:
        iam.update_assume_role_policy(RoleName=role["RoleName"], PolicyDocument=json.dumps(trusted))
    keys = {"aws_access_key_id": given["AccessKeyId"], "aws_secret_access_key": given["SecretAccessKey"]}
    address = seeded.target.endpoint_url
    return seeded.session.client("s3", **keys, aws_session_token=given["SessionToken"], endpoint_url=address)


def test_training_sees_the_training_rows_and_nothing_else(seeded: LaptopTarget, first: Any, training: Any) -> None:
    bucket = seeded.store.bucket
    assert training.head_object(Bucket=bucket, Key=KEYS.train(first["run_ts"]))["ContentLength"] > 0
    for key in (KEYS.holdout(first["run_ts"]), KEYS.watermark("ai_outputs"), KEYS.pointer()):
        assert seeded.store.head(key), key
        with pytest.raises(ClientError) as refused:
            training.get_object(Bucket=bucket, Key=key)
        assert refused.value.response["Error"]["Code"] == "AccessDenied", key


def test_a_run_beside_another_ends_green_and_names_the_holder(second: Any) -> None:
    assert second["overlapping"]["outcome"] == "already_running"
    assert second["execution"] in second["overlapping"]["reason"]


def test_the_second_run_is_judged_against_that_champion(seeded: LaptopTarget, first: Any, second: Any) -> None:
    evaluation = seeded.document(KEYS.evaluation(second["run_ts"]))
    assert evaluation["champion"]["run_ts"] == first["run_ts"]
    # The same rows again cannot tell two models apart.
    assert second["outcome"] == "kept_champion"
    assert seeded.document(KEYS.pointer())["run_ts"] == first["run_ts"]


def test_newer_rows_are_what_both_models_are_compared_on(seeded: LaptopTarget, first: Any, grown: Any) -> None:
    evaluation = seeded.document(KEYS.evaluation(grown["run_ts"]))
    seen = seeded.document(KEYS.manifest(first["run_ts"]))["intervals"]["validation"]["end"]
    assert evaluation["champion"]["run_ts"] == first["run_ts"]
    assert parse_instant(evaluation["holdout"]["start"]) >= parse_instant(seen)
    assert evaluation["holdout"]["used"] == evaluation["holdout"]["rows"] == ROWS // 5
    assert grown["outcome"] == "promoted", grown["reason"]
    assert grown["reason"].startswith("Better than the champion")
    assert evaluation["comparison"]["champion"] > evaluation["comparison"]["challenger"]
    assert evaluation["comparison"]["low"] > 0


def test_a_repeated_trigger_is_the_same_run(seeded: LaptopTarget, grown: Any) -> None:
    before = seeded.jobs()
    again = seeded.run("--at", grown["run_ts"])
    assert (again["outcome"], again["run_ts"]) == ("same_run", grown["run_ts"])
    assert grown["execution"] in again["reason"]
    assert seeded.jobs() == before


def test_a_scheduled_run_without_new_rows_skips(seeded: LaptopTarget, grown: Any) -> None:
    ended = seeded.ended(seeded.start({"scheduledTime": iso(utc_now().replace(microsecond=0))}))
    assert json.loads(ended["output"])["outcome"] == "no_new_rows", ended
    assert seeded.document(KEYS.lease())["state"] == "free"


def test_scoring_writes_each_slot_once(
    seeded: LaptopTarget, grown: Any, rows: list[dict[str, Any]], expected: np.ndarray
) -> None:
    slot = rows[0]["base_ts"]
    assert seeded.ratchet("score", "returns")["scored"] == [slot]
    instant = parse_instant(slot)
    key = KEYS.predictions(instant.date(), run_name(instant))
    stored = seeded.store.get(key)
    assert stored is not None
    agree([json.loads(line) for line in stored.body.splitlines()], rows[:1], expected, grown["run_ts"])
    before = {row.key: row.etag for row in seeded.store.list("predictions/")}
    assert seeded.ratchet("score", "returns")["scored"] == []
    assert {row.key: row.etag for row in seeded.store.list("predictions/")} == before


def test_a_row_of_the_command_line_is_scored(
    seeded: LaptopTarget, grown: Any, rows: list[dict[str, Any]], expected: np.ndarray
) -> None:
    row = rows[0]
    a, b = json.dumps(row["embedding_a"]), json.dumps(row["embedding_b"])
    answers = seeded.ratchet("score", "returns", "--base-ts", row["base_ts"], "--embedding-a", a, "--embedding-b", b)
    agree(answers, rows[:1], expected, grown["run_ts"])
    ahead = parse_instant(answers[0]["target_ts"]) - parse_instant(row["base_ts"])
    assert ahead.total_seconds() == 600


@pytest.mark.parametrize(("count", "machine"), [(20, False), (1000, True)], ids=["one-call", "the-batch-machine"])
def test_a_file_of_rows_is_scored_by(
    seeded: LaptopTarget,
    grown: Any,
    rows: list[dict[str, Any]],
    expected: np.ndarray,
    tmp_path: Path,
    count: int,
    machine: bool,
) -> None:
    source, output = tmp_path / "rows.jsonl", tmp_path / "answers.jsonl"
    source.write_text("".join(f"{json.dumps(row)}\n" for row in rows[:count]))
    told = seeded.ratchet("score", "returns", "--jsonl", str(source), "--output", str(output))
    assert (told["rows"], "execution" in told) == (count, machine)
    answers = [json.loads(line) for line in output.read_text().splitlines()]
    agree(answers, rows[:count], expected, grown["run_ts"])


@pytest.fixture(scope="module")
def interrupted(seeded: LaptopTarget, grown: Any) -> Any:
    """A run of the newest 600 rows that failed once its model was trained, and was taken up again.

    Its rows come straight from PostgreSQL, and all of them anew.
    """
    landed = [seeded.document(KEYS.watermark(table))["changes"] for table in ("ai_outputs", "simulations_10m")]
    pointer = seeded.store.get(KEYS.pointer())
    assert pointer is not None
    seeded.store.put(KEYS.pointer(), b'{"model": "somebody else\'s"}')
    try:
        with seeded.secret(lambda fields: {"db_url": seeded.database}):
            failed = seeded.run("--input", '{"limit": 600, "sinceTs": "2020-01-01T00:00:00Z"}', code=1)
    finally:
        seeded.store.put(KEYS.pointer(), pointer.body)
    trained = seeded.jobs()
    claimed = next(
        row.key for row in seeded.store.list("runs/") if failed["execution"] in str(seeded.document(row.key))
    )
    run_ts = claimed.removeprefix("runs/").removesuffix(".json")
    resumed = seeded.run("--resume", run_ts)
    return {"failed": failed, "run_ts": run_ts, "trained": trained, "resumed": resumed, "landed": landed}


def test_a_pointer_that_is_not_ours_fails_the_run_by_name(seeded: LaptopTarget, grown: Any, interrupted: Any) -> None:
    assert interrupted["failed"]["error"] == "ForeignDocument"
    assert "model/latest.json" in interrupted["failed"]["reason"]
    assert "move it away" in interrupted["failed"]["reason"]
    assert seeded.document(KEYS.pointer())["run_ts"] == grown["run_ts"]


def test_rows_read_straight_from_postgres_are_those_that_landed_before(seeded: LaptopTarget, interrupted: Any) -> None:
    marks = [seeded.document(KEYS.watermark(table)) for table in ("ai_outputs", "simulations_10m")]
    assert [mark["changes"] for mark in marks] == interrupted["landed"]
    lines = seeded.ratchet("logs", "extract", "--run", interrupted["run_ts"])
    facts = next(line["fields"] for line in lines if line["message"] == "Extracted")
    assert (facts["rows_read"] >= 2 * ROWS, facts["rows_changed"]) == (True, 0)


def test_a_resumed_run_does_not_train_again(seeded: LaptopTarget, interrupted: Any) -> None:
    assert interrupted["resumed"]["run_ts"] == interrupted["run_ts"]
    assert interrupted["resumed"]["outcome"] in {"promoted", "kept_champion"}
    assert seeded.jobs() == interrupted["trained"]
    assert seeded.document(KEYS.claim(interrupted["run_ts"]))["attempt"] == 2


def test_a_limit_takes_the_newest_joined_rows(seeded: LaptopTarget, interrupted: Any) -> None:
    manifest = seeded.document(KEYS.manifest(interrupted["run_ts"]))
    newest = seeded.sql("select max(ts) - interval '10 minutes' from simulations_10m")[0][0]
    counts = manifest["counts"]
    assert counts["joined"] == 600
    assert sum(counts[part] for part in ("train", "validation", "holdout", "embargoed")) == 600
    assert parse_instant(manifest["intervals"]["train"]["start"]) == newest - np.timedelta64(599 * 10, "m").item()


@pytest.fixture(scope="module")
def aborted(seeded: LaptopTarget, interrupted: Any) -> Any:
    """A run that was stopped while it trained."""
    before = set(seeded.jobs())
    execution = seeded.ratchet("run", "returns", "--detach")["execution"]
    job = until(lambda: next(iter(set(seeded.jobs()) - before), None))
    until(lambda: [line for line in seeded.processes() if "train.py" in line])
    held = seeded.document(KEYS.lease())
    assert held["execution"] == execution
    seeded.client("stepfunctions").stop_execution(executionArn=execution)
    until(lambda: seeded.document(KEYS.lease())["state"] == "free")
    return {"job": job, "execution": execution, "run_ts": held["run_ts"]}


def test_an_aborted_run_frees_the_lease_and_ends_its_child_and_its_job(seeded: LaptopTarget, aborted: Any) -> None:
    assert seeded.ended(aborted["execution"])["status"] == "ABORTED"
    submitted = seeded.events(aborted["execution"], "TaskSubmitted")
    child = json.loads(submitted[-1]["taskSubmittedEventDetails"]["output"])["ExecutionArn"]
    assert seeded.ended(child)["status"] == "ABORTED"
    until(lambda: seeded.jobs()[aborted["job"]] == "Stopped")
    until(lambda: not [line for line in seeded.processes() if "train.py" in line])
    assert seeded.document(KEYS.claim(aborted["run_ts"]))["outcome"] == "aborted"


def test_the_next_run_works_and_may_skip_the_preparation(seeded: LaptopTarget, aborted: Any) -> None:
    data = seeded.document(KEYS.train_latest())
    ended = seeded.run("--input", '{"skipDataPrep": true}')
    assert ended["outcome"] in {"promoted", "kept_champion"}
    assert "Extract" not in seeded.visited(ended["execution"])
    assert seeded.document(KEYS.train_latest()) == data
    assert seeded.document(KEYS.evaluation(ended["run_ts"]))["holdout"]["uri"] == data["holdout_uri"]


def test_a_rollback_restores_and_the_history_shows_it(seeded: LaptopTarget, first: Any, grown: Any) -> None:
    champion = seeded.document(KEYS.pointer())
    told = seeded.ratchet("rollback", "returns", "--to", first["run_ts"], "--why", "the new one trades too much")
    assert (told["from_run_ts"], told["to_run_ts"]) == (champion["run_ts"], first["run_ts"])
    moves = seeded.ratchet("history", "returns")
    assert (moves[0]["move"], moves[0]["run_ts"], moves[0]["why"]) == (
        "rollback",
        first["run_ts"],
        "the new one trades too much",
    )
    assert [move["run_ts"] for move in moves if move["move"] == "promote"][-2:] == [grown["run_ts"], first["run_ts"]]
    assert seeded.ratchet("score", "returns")["model_run_ts"] == first["run_ts"]
    assert (
        seeded.ratchet("rollback", "returns", "--to", grown["run_ts"], "--why", "it does not")["seq"] == told["seq"] + 1
    )
    assert seeded.ratchet("score", "returns")["model_run_ts"] == grown["run_ts"]


def test_the_schedules_pause_and_resume(seeded: LaptopTarget) -> None:
    assert {row["state"] for row in seeded.ratchet("resume")} == {"ENABLED"}
    assert {row["state"] for row in seeded.ratchet("pause")} == {"DISABLED"}
    name = seeded.target.output("ScheduleNames").split(",")[0]
    assert seeded.client("scheduler").get_schedule(Name=name)["State"] == "DISABLED"


def test_status_logs_and_doctor_tell_how_things_stand(seeded: LaptopTarget, grown: Any) -> None:
    (status,) = (row for row in seeded.ratchet("status") if row["pipeline"] == "returns")
    assert status["champion"] == seeded.document(KEYS.pointer())
    assert status["lease"]["state"] == "free"
    lines = seeded.ratchet("logs", "take_lease", "--run", grown["run_ts"])
    assert [line["message"] for line in lines] == ["Lease taken"]
    assert all(row["ok"] for row in seeded.ratchet("doctor"))


def test_down_leaves_no_process_and_up_finds_the_champion_again(seeded: LaptopTarget, grown: Any) -> None:
    moves = seeded.ratchet("history", "returns")
    assert set(seeded.ratchet("down")["stopped"]) == {"emulator", "supabase", "postgres"}
    assert seeded.processes() == []
    said = seeded.call("status")
    assert (said.code, "start it with `ratchet up`" in said.complaint) == (1, True)
    seeded.forget()
    seeded.ratchet("up")
    assert seeded.ratchet("history", "returns") == moves
    assert seeded.ratchet("score", "returns")["model_run_ts"] == grown["run_ts"]
