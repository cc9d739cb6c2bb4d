"""Bad input to the running application: one clear line with the remedy, a named error, nothing half-written."""

import gzip
import hashlib
import io
import json
import re
import tarfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import faulty_rest
from tests.faults.supabase_proxy import before_the_source
from tests.laptop_target import KEYS, LaptopTarget, until

TABLES = ("ai_outputs", "simulations_10m")
NULL_IN_ARRAY = re.compile(rb"(?<=[\[,])null(?=[,\]])")
NOT_A_NUMBER = faulty_rest.Fault(changed=lambda body: NULL_IN_ARRAY.sub(b'"NaN"', body))
"""Hosted Supabase sends a NaN within an array as text, where the local one sends null."""
WEB_PAGE = faulty_rest.Fault(200, "<!doctype html><title>Sign in</title>", {"content-type": "text/html"})
ROW_FAULTS = {
    "a NaN in an embedding": (
        "ai_outputs: embedding_a",
        2,
        "update ai_outputs set embedding_a[3] = 'NaN' where base_ts in ({keys})",
    ),
    "255 values": (
        "ai_outputs: embedding_b",
        3,
        "update ai_outputs set embedding_b = embedding_b[1:255] where base_ts in ({keys})",
    ),
    "a null target": (
        "scalper_return_pct",
        4,
        "update simulations_10m set scalper_return_pct = null where ts - interval '10 minutes' in ({keys})",
    ),
    "two rows of one instant": (
        "ai_outputs: duplicate base_ts",
        2,
        "insert into ai_outputs (base_ts, embedding_a, embedding_b)"
        " select base_ts, embedding_b, embedding_a from ai_outputs where base_ts in ({keys})",
    ),
}
"""Fault of rows: part of the reason it is counted under, the number of rows set aside, how they are made."""


@dataclass(frozen=True)
class Standing:
    """What a failed run must leave as it was."""

    pointer: str | None
    watermarks: list[str | None]
    data: str | None

    @classmethod
    def of(cls, laptop: LaptopTarget) -> "Standing":
        marks = [laptop.etag(KEYS.watermark(table)) for table in TABLES]
        return cls(laptop.etag(KEYS.pointer()), marks, laptop.etag(KEYS.train_latest()))


@pytest.fixture(scope="module")
def tainted(laptop: LaptopTarget) -> Any:
    """A run over rows of which a few are bad in every way that rows can be."""
    laptop.ratchet("seed", "returns", "--rows", "2000", "--yes")
    laptop.sql("alter table ai_outputs drop constraint ai_outputs_pkey")
    start = 100
    for _, count, statement in ROW_FAULTS.values():
        # Two rows share an instant for each one that is doubled.
        distinct = count // 2 if "insert" in statement else count
        keys = f"select base_ts from (select base_ts from ai_outputs order by 1 offset {start} limit {distinct}) chosen"
        laptop.sql(statement.format(keys=keys))
        start += 100
    with before_the_source(laptop, NOT_A_NUMBER):
        ended = laptop.run()
    laptop.sql(
        "delete from ai_outputs a using ai_outputs b where a.base_ts = b.base_ts and a.ctid > b.ctid",
        "alter table ai_outputs add primary key (base_ts)",
    )
    return ended


def failed(laptop: LaptopTarget, error: str, *said: str, execution: str | None = None) -> dict[str, Any]:
    """Asserts that a run fails by that name, says that, and leaves everything as it was."""
    before = Standing.of(laptop)
    if execution is None:
        ended = laptop.run(code=1)
        told, reason = ended["error"], ended["reason"]
        execution = str(ended["execution"])
    else:
        ended = laptop.ended(execution)
        told, reason = ended["error"], ended["cause"]
    assert told == error, reason
    assert "\n" not in reason
    assert [text for text in said if text not in reason] == [], reason
    described = laptop.client("stepfunctions").describe_execution(executionArn=execution)
    assert (described["status"], described["error"]) == ("FAILED", error)
    assert Standing.of(laptop) == before
    assert laptop.document(KEYS.lease())["state"] == "free"
    return ended


@pytest.mark.parametrize("fault", ROW_FAULTS)
def test_a_row_is_set_aside_and_counted_for(tainted: Any, laptop: LaptopTarget, fault: str) -> None:
    assert tainted["outcome"] == "promoted", tainted["reason"]
    reason, count, _ = ROW_FAULTS[fault]
    rejected = laptop.document(KEYS.manifest(tainted["run_ts"]))["counts"]["rejected"]
    assert {name: number for name, number in rejected.items() if reason in name} != {}, rejected
    assert sum(number for name, number in rejected.items() if reason in name) == count, rejected


@contextmanager
def table_called(laptop: LaptopTarget, name: str, other: str) -> Iterator[None]:
    laptop.sql(f"alter table {name} rename to {other}")
    try:
        yield
    finally:
        laptop.sql(f"alter table {other} rename to {name}")


@contextmanager
def column_called(laptop: LaptopTarget, table: str, name: str, other: str) -> Iterator[None]:
    laptop.sql(f"alter table {table} rename column {name} to {other}")
    try:
        yield
    finally:
        laptop.sql(f"alter table {table} rename column {other} to {name}")


@contextmanager
def without_policy(laptop: LaptopTarget, table: str) -> Iterator[None]:
    laptop.sql(f"drop policy service_role_all on {table}")
    try:
        yield
    finally:
        laptop.sql(f"create policy service_role_all on {table} for all to service_role using (true) with check (true)")


@contextmanager
def null_targets(laptop: LaptopTarget) -> Iterator[None]:
    newest = "(select ts from simulations_10m order by ts desc limit 200)"
    laptop.sql("create table sound as select ts, long_hold_return_pct as value from simulations_10m")
    laptop.sql(f"update simulations_10m set long_hold_return_pct = null where ts in {newest}")
    try:
        yield
    finally:
        laptop.sql(
            "update simulations_10m set long_hold_return_pct = value from sound where simulations_10m.ts = sound.ts",
            "drop table sound",
        )


Fault = Callable[[LaptopTarget], AbstractContextManager[None]]
SOURCES: dict[str, tuple[Fault, str, tuple[str, ...]]] = {
    "wrong key": (
        lambda laptop: laptop.secret(lambda fields: {**fields, "key": "sb_secret_of_another_project"}),
        "SourceRefused",
        ("refuses the key", "service_role key into the secret"),
    ),
    "missing key": (
        lambda laptop: laptop.secret(lambda fields: {"url": fields["url"]}),
        "BadConfiguration",
        ("ratchet/supabase lacks key",),
    ),
    "secret that is no JSON": (
        lambda laptop: laptop.secret(lambda fields: fields["key"]),
        "BadConfiguration",
        ('is no JSON: write it as {"url"',),
    ),
    "HTML instead of JSON": (
        lambda laptop: before_the_source(laptop, WEB_PAGE),
        "SourceMismatch",
        ("answers with a web page", "https://<project>.supabase.co"),
    ),
    "missing table": (
        lambda laptop: table_called(laptop, "simulations_10m", "simulations_5m"),
        "MissingTable",
        ("no table simulations_10m", "create it, or correct pipeline.yaml"),
    ),
    "missing column": (
        lambda laptop: column_called(laptop, "ai_outputs", "embedding_b", "embedding_c"),
        "SourceMismatch",
        ("column of table ai_outputs is missing", "add it, or correct pipeline.yaml"),
    ),
    "missing row policy": (
        lambda laptop: without_policy(laptop, "ai_outputs"),
        "SourceUnreadable",
        ("The table ai_outputs shows no rows", "row level policy"),
    ),
}


@pytest.mark.parametrize("fault", SOURCES)
def test_a_source_with_a(tainted: Any, laptop: LaptopTarget, fault: str) -> None:
    broken, error, said = SOURCES[fault]
    with broken(laptop):
        failed(laptop, error, *said)


def test_an_unreachable_source_is_waited_for_and_then_read(tainted: Any, laptop: LaptopTarget) -> None:
    with laptop.secret(lambda fields: {**fields, "url": "http://127.0.0.1:9"}):
        execution = laptop.ratchet("run", "returns", "--detach")["execution"]
        said = laptop.call("score", "returns")
        assert (said.code, said.document) == (1, None)
        assert "http://127.0.0.1:9 did not deliver table ai_outputs" in said.complaint
        assert "Check the url in the secret" in said.complaint
        first = until(
            lambda: laptop.events(execution, "LambdaFunctionFailed") or laptop.events(execution, "TaskFailed")
        )
        details = next(value for name, value in first[0].items() if name.endswith("EventDetails"))
        assert details["error"] == "Unavailable"
    ended = laptop.ended(execution)
    assert ended["status"] == "SUCCEEDED", ended


def test_too_many_bad_rows_fail_the_run_and_are_kept_to_be_looked_at(tainted: Any, laptop: LaptopTarget) -> None:
    pointer, data = laptop.etag(KEYS.pointer()), laptop.etag(KEYS.train_latest())
    with null_targets(laptop):
        ended = laptop.run("--input", '{"sinceTs": "2020-01-01T00:00:00Z"}', code=1)
    assert ended["error"] == "TooManyBadRows"
    assert "of the rows break the contract, 5.0% may" in ended["reason"]
    assert "correct the source" in ended["reason"]
    assert (laptop.etag(KEYS.pointer()), laptop.etag(KEYS.train_latest())) == (pointer, data)
    assert laptop.document(KEYS.lease())["state"] == "free"
    # The corrected rows replace the bad ones.
    ended = laptop.run("--input", '{"sinceTs": "2020-01-01T00:00:00Z", "limit": 500}')
    assert ended["outcome"] in {"promoted", "kept_champion"}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"limt": 5}, "'limt' is unknown"),
        ({"limit": -1}, "limit is -1, not a whole number of rows"),
        ({"skipDataPrep": "yes"}, "skipDataPrep is 'yes', not true or false"),
        ({"sinceTs": "yesterday"}, "sinceTs"),
        ([1], "must be a JSON object"),
    ],
    ids=str,
)
def test_a_malformed_execution_input(tainted: Any, laptop: LaptopTarget, document: Any, said: str) -> None:
    """By `ratchet run` it costs no execution; by any other client a red one."""
    call = laptop.call("run", "returns", "--input", json.dumps(document))
    assert (call.code, said in call.complaint) == (2, True), call.stderr
    failed(laptop, "BadInput", said, execution=laptop.start(document))


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("run", "nonsense"), 2, "'nonsense' is not"),
        (("run", "returns", "--at", "noon"), 2, "noon"),
        (("run", "returns", "--input", "{"), 2, "--input is not JSON"),
        (("score", "returns", "--base-ts", "2026-01-01T00:00:00Z"), 2, "needs --embedding-a, --embedding-b too"),
        (("card", "returns", "2020-01-01T00-00-00Z"), 2, "has no card"),
        (("rollback", "returns", "--to", "2020-01-01T00-00-00Z", "--why", "x"), 2, "was never in service"),
        (("rollback", "returns", "--why", " "), 2, "needs a reason"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_bad_usage(tainted: Any, laptop: LaptopTarget, arguments: tuple[str, ...], code: int, said: str) -> None:
    before = Standing.of(laptop)
    call = laptop.call(*arguments)
    assert (call.code, call.document) == (code, None)
    assert said in call.complaint
    assert Standing.of(laptop) == before


def test_an_unknown_pipeline_is_named_by_the_functions_too(tainted: Any, laptop: LaptopTarget) -> None:
    payload = json.dumps({"pipeline": "nonsense", "rows": []})
    answer = laptop.client("lambda").invoke(FunctionName=laptop.target.output("ScoreFunction"), Payload=payload)
    told = json.loads(answer["Payload"].read())
    assert (answer["FunctionError"], told["errorType"]) == ("Unhandled", "UnknownPipeline")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda row: {**row, "embedding_a": row["embedding_a"][:255]}, "embedding_a"),
        (lambda row: {**row, "embedding_b": [*row["embedding_b"][:255], "NaN"]}, "embedding_b"),
        (lambda row: {**row, "base_ts": "noon"}, "base_ts"),
    ],
    ids=["255 values", "NaN", "no instant"],
)
def test_a_row_to_score_with(
    tainted: Any, laptop: LaptopTarget, tmp_path: Path, change: Callable[[dict[str, Any]], Any], said: str
) -> None:
    row = {"base_ts": "2026-01-01T00:00:00Z", "embedding_a": [0.0625] * 256, "embedding_b": [0.0625] * 256}
    path, output = tmp_path / "rows.jsonl", tmp_path / "answers.jsonl"
    path.write_text(f"{json.dumps(row)}\n{json.dumps(change(row))}\n")
    call = laptop.call("score", "returns", "--jsonl", str(path), "--output", str(output))
    assert call.code == 2
    assert "row 2" in call.complaint
    assert said in call.complaint
    assert not output.exists()


def traversing(archive: bytes) -> bytes:
    """The archive with a member that wants to be written outside."""
    plain = io.BytesIO(gzip.decompress(archive))
    with tarfile.open(fileobj=plain, mode="a") as members:
        member = tarfile.TarInfo("../../escaped.py")
        member.size = 4
        members.addfile(member, io.BytesIO(b"evil"))
    return gzip.compress(plain.getvalue())


def truncated(archive: bytes) -> bytes:
    return archive[: len(archive) // 2]


BUNDLES = {
    "a path-traversal member": (traversing, "'../../escaped.py'"),
    "a truncated archive": (truncated, "cannot be read to its end"),
}


@contextmanager
def replaced_bundle(laptop: LaptopTarget, damage: Callable[[bytes], bytes]) -> Iterator[None]:
    """The champion's bundle damaged by somebody who can write the pointer and the history as well."""
    kept = {key: stored for key in documents(laptop) if (stored := laptop.store.get(key))}
    pointer = json.loads(kept[KEYS.pointer()].body)
    bundle = damage(kept[laptop.store.key_of(pointer["model_uri"])].body)
    digest = hashlib.sha256(bundle).hexdigest()
    entry = {**pointer, "sha256": digest, "who": "somebody", "why": "damage"}
    laptop.store.put(laptop.store.key_of(pointer["model_uri"]), bundle)
    laptop.store.put(KEYS.history(pointer["seq"]), json.dumps(entry).encode())
    laptop.store.put(KEYS.pointer(), json.dumps({**pointer, "sha256": digest}).encode())
    try:
        yield
    finally:
        for key, stored in kept.items():
            laptop.store.put(key, stored.body)


def documents(laptop: LaptopTarget) -> list[str]:
    pointer = laptop.document(KEYS.pointer())
    return [KEYS.pointer(), KEYS.history(pointer["seq"]), laptop.store.key_of(pointer["model_uri"])]


def cold_start(laptop: LaptopTarget) -> None:
    """A changed configuration ends the processes that scored so far."""
    client, name = laptop.client("lambda"), laptop.target.output("ScoreFunction")
    timeout = client.get_function_configuration(FunctionName=name)["Timeout"]
    client.update_function_configuration(FunctionName=name, Timeout=timeout - 1)


@pytest.fixture
def row(tmp_path: Path) -> Path:
    path = tmp_path / "row.jsonl"
    embedding = [0.0625] * 256
    path.write_text(json.dumps({"base_ts": "2026-01-01T00:00:00Z", "embedding_a": embedding, "embedding_b": embedding}))
    return path


@pytest.mark.parametrize("damage", BUNDLES)
def test_a_running_scorer_keeps_the_champion_before(tainted: Any, laptop: LaptopTarget, row: Path, damage: str) -> None:
    before = laptop.ratchet("score", "returns", "--jsonl", str(row))
    with replaced_bundle(laptop, BUNDLES[damage][0]):
        assert laptop.ratchet("score", "returns", "--jsonl", str(row)) == before
    lines = laptop.ratchet("logs", "score", "--since", "5")
    told = [line["fields"]["reason"] for line in lines if line["message"] == "A newer champion does not serve"]
    assert BUNDLES[damage][1] in told[-1]


@pytest.mark.parametrize("damage", BUNDLES)
def test_a_new_scorer_refuses(tainted: Any, laptop: LaptopTarget, row: Path, damage: str) -> None:
    with replaced_bundle(laptop, BUNDLES[damage][0]):
        cold_start(laptop)
        call = laptop.call("score", "returns", "--jsonl", str(row))
        assert (call.code, call.document) == (1, None)
        assert BUNDLES[damage][1] in call.complaint
    # Nothing of it is remembered once the bundle is whole again.
    assert laptop.ratchet("score", "returns", "--jsonl", str(row))


@pytest.mark.parametrize("damage", BUNDLES)
def test_a_rollback_is_refused_to(tainted: Any, laptop: LaptopTarget, damage: str) -> None:
    with replaced_bundle(laptop, BUNDLES[damage][0]):
        pointer = laptop.document(KEYS.pointer())
        later = {**pointer, "run_ts": "2026-01-01T00-00-00Z", "seq": pointer["seq"] + 1}
        later |= {"previous": pointer["run_ts"], "previous_seq": pointer["seq"]}
        laptop.store.put(KEYS.history(later["seq"]), json.dumps({**later, "who": "gate", "why": "better"}).encode())
        laptop.store.put(KEYS.pointer(), json.dumps(later).encode())
        before = Standing.of(laptop)
        call = laptop.call("rollback", "returns", "--why", "the new one is worse")
        assert (call.code, call.document) == (1, None)
        assert BUNDLES[damage][1] in call.complaint
        assert Standing.of(laptop) == before


@pytest.mark.parametrize("body", [b'{"model": "s3://elsewhere/model.pkl"}', b"not JSON"], ids=["fields", "text"])
def test_a_pointer_that_is_not_ours_is_refused_by(tainted: Any, laptop: LaptopTarget, row: Path, body: bytes) -> None:
    pointer = laptop.store.get(KEYS.pointer())
    assert pointer is not None
    laptop.store.put(KEYS.pointer(), body)
    try:
        cold_start(laptop)
        for command in (
            ("status",),
            ("history", "returns"),
            ("rollback", "returns", "--why", "x"),
            ("score", "returns", "--jsonl", str(row)),
        ):
            call = laptop.call(*command)
            assert (call.code, call.document) == (1, None), command
            assert "model/latest.json" in call.complaint, command
            assert "move it away" in call.complaint, command
    finally:
        laptop.store.put(KEYS.pointer(), pointer.body)


def test_empty_tables_are_not_enough_data_and_hidden_ones_an_error(tainted: Any, laptop: LaptopTarget) -> None:
    """The last one: nothing is left of the tables."""
    laptop.sql("truncate ai_outputs, simulations_10m")
    failed(laptop, "SourceUnreadable", "rows of it were read before")
    for row in [*laptop.store.list("landing/"), *laptop.store.list("train/")]:
        laptop.client("s3").delete_object(Bucket=laptop.store.bucket, Key=row.key)
    ended = laptop.run()
    assert ended["outcome"] == "not_enough_data"
    assert "has no rows; at least 300 are needed" in ended["reason"]
    assert laptop.etag(KEYS.train_latest()) is None
