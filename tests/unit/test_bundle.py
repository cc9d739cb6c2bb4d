import gzip
import io
import json
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path, PosixPath
from typing import Any

import numpy as np
import pytest
from ratchet.errors import BadBundle, BadConfiguration
from ratchet.serving import bundle
from ratchet.serving.bundle import read_bundle, write_bundle

DOCUMENT: dict[str, Any] = {
    "format": 1,
    "pipeline": "returns",
    "run_ts": "2026-11-21T04-00-00Z",
    "inputs": [{"name": "features", "dtype": "float32", "shape": ["N", 512], "unit": "none"}],
    "targets": [{"name": "up", "unit": "percent"}, {"name": "down", "unit": "percent"}],
    "training": {"start": "2026-11-01T00:00:00Z", "end": "2026-11-10T00:00:00Z"},
    "validation": {"start": "2026-11-10T00:00:00Z", "end": "2026-11-12T00:00:00Z"},
    "train_mean": {"up": 0.1, "down": -0.1},
    "data_digest": "sha256:0",
    "train_uri": "s3://bucket/train/run_ts=2026-11-21T04-00-00Z/train.parquet",
    "synthetic": True,
    "code_version": "0.1.0",
    "frameworks": {"torch": "2.13.0"},
    "hyperparameters": {"lr": "0.001"},
    "metrics": {"validation_mse": 1.0},
    "device": "cpu",
}


@pytest.fixture
def members(tmp_path: Path) -> Path:
    folder = tmp_path / "members"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"onnx")
    (folder / "model.pth").write_bytes(b"torch")
    (folder / "bundle.json").write_text(json.dumps(DOCUMENT))
    np.savez(folder / "reference.npz", features=np.ones((3, 4), "f4"), predictions=np.zeros((3, 2), "f4"))
    return folder


def pack(path: Path, entries: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for entry, body in entries:
            entry.size = len(body)
            archive.addfile(entry, io.BytesIO(body))
    return path


def whole(members: Path) -> list[tuple[tarfile.TarInfo, bytes]]:
    return [(tarfile.TarInfo(f"./{path.name}"), path.read_bytes()) for path in sorted(members.iterdir())]


def test_what_is_written_is_read_back_with_its_document_and_its_reference_rows(members: Path, tmp_path: Path) -> None:
    write_bundle(members, tmp_path / "b.tar.gz")
    read = read_bundle(tmp_path / "b.tar.gz", tmp_path / "out", "returns")
    assert read.document == DOCUMENT
    assert read.model_path.read_bytes() == b"onnx"
    features, predictions = read.reference()
    assert (features.shape, predictions.shape) == ((3, 4), (3, 2))


def test_the_same_members_give_the_same_bytes(members: Path, tmp_path: Path) -> None:
    write_bundle(members, tmp_path / "one.tar.gz")
    for path in members.iterdir():
        path.touch()
    write_bundle(members, tmp_path / "two.tar.gz")
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()


def test_an_archive_as_the_training_service_makes_it_with_dots_and_folder_entries_is_read(
    members: Path, tmp_path: Path
) -> None:
    with tarfile.open(tmp_path / "b.tar.gz", "w:gz") as archive:
        archive.add(members, arcname=".")
    assert read_bundle(tmp_path / "b.tar.gz", tmp_path / "out", "returns").document["format"] == 1


def symlink() -> tarfile.TarInfo:
    entry = tarfile.TarInfo("model.onnx")
    entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return entry


def pipe() -> tarfile.TarInfo:
    entry = tarfile.TarInfo("model.onnx")
    entry.type = tarfile.FIFOTYPE
    return entry


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (tarfile.TarInfo("../model.onnx"), "none of"),
        (tarfile.TarInfo("/etc/cron.d/model.onnx"), "none of"),
        (tarfile.TarInfo("nested/model.onnx"), "none of"),
        (tarfile.TarInfo("train.py"), "none of"),
        (symlink(), "no regular file"),
        (pipe(), "no regular file"),
    ],
    ids=["one folder up", "an absolute path", "a nested folder", "a foreign file", "a symbolic link", "a pipe"],
)
def test_a_member_that_is_not_a_plain_file_of_a_bundle_is_refused(
    entry: tarfile.TarInfo, says: str, tmp_path: Path
) -> None:
    pack(tmp_path / "b.tar.gz", [(entry, b"")])
    with pytest.raises(BadBundle, match=says):
        read_bundle(tmp_path / "b.tar.gz", tmp_path / "deep" / "out", "returns")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["b.tar.gz"]


def test_the_same_member_twice_is_refused(members: Path, tmp_path: Path) -> None:
    pack(tmp_path / "b.tar.gz", whole(members) + whole(members)[:1])
    with pytest.raises(BadBundle, match="two members"):
        read_bundle(tmp_path / "b.tar.gz", tmp_path / "out", "returns")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_a_truncated_archive_is_refused_and_leaves_nothing_behind(members: Path, tmp_path: Path, share: float) -> None:
    (members / "model.onnx").write_bytes(np.random.default_rng(0).bytes(200_000))
    write_bundle(members, tmp_path / "b.tar.gz")
    body = (tmp_path / "b.tar.gz").read_bytes()
    (tmp_path / "b.tar.gz").write_bytes(body[: int(len(body) * share)])
    with pytest.raises(BadBundle):
        read_bundle(tmp_path / "b.tar.gz", tmp_path / "out", "returns")
    assert not list((tmp_path / "out").iterdir())


class FullDisk(PosixPath):
    """A folder on a disk that takes no byte more."""

    def open(self, *_: Any, **__: Any) -> Any:
        self.touch()
        return Path("/dev/full").open("wb", buffering=0)


def test_a_full_disk_is_not_taken_for_a_broken_bundle(members: Path, tmp_path: Path) -> None:
    write_bundle(members, tmp_path / "model.tar.gz")
    folder = FullDisk(tmp_path / "out")
    with pytest.raises(BadConfiguration, match="EphemeralStorage of EvaluateFunction or ScoreFunction"):
        read_bundle(tmp_path / "model.tar.gz", folder, "returns")
    assert list(folder.iterdir()) == []


def test_a_folder_that_holds_something_is_refused_and_keeps_it(members: Path, tmp_path: Path) -> None:
    write_bundle(members, tmp_path / "b.tar.gz")
    with pytest.raises(BadBundle, match="not empty"):
        read_bundle(tmp_path / "b.tar.gz", members, "returns")
    assert (members / "model.onnx").read_bytes() == b"onnx"


def test_a_member_beyond_its_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    entry = tarfile.TarInfo("bundle.json")
    entry.size = 50_000_000_000
    (tmp_path / "b.tar.gz").write_bytes(gzip.compress(entry.tobuf(tarfile.GNU_FORMAT)))
    with pytest.raises(BadBundle, match="are allowed"):
        read_bundle(tmp_path / "b.tar.gz", tmp_path / "out", "returns")


def test_a_bomb_in_the_archives_own_headers_stops_at_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "TOTAL", 1 << 20)
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 60_000_000
    (tmp_path / "b.tar.gz").write_bytes(gzip.compress(header.tobuf() + bytes(60_000_000)))
    tracemalloc.start()
    with pytest.raises(BadBundle, match="unpacks to more"):
        read_bundle(tmp_path / "b.tar.gz", tmp_path / "out", "returns")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


def about(kind: bytes, body: bytes = b"22 GNU.sparse.map=a,b\n") -> tuple[tarfile.TarInfo, bytes]:
    entry = tarfile.TarInfo("about")
    entry.type = kind
    return entry, body


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_what_a_header_says_of_the_next_member_is_not_heeded(members: Path, tmp_path: Path, kind: bytes) -> None:
    pack(tmp_path / "b.tar.gz", [entry for pair in whole(members) for entry in (about(kind), pair)])
    assert read_bundle(tmp_path / "b.tar.gz", tmp_path / "out", "returns").model_path.read_bytes() == b"onnx"


def test_more_headers_than_a_bundle_can_need_are_refused(members: Path, tmp_path: Path) -> None:
    pack(tmp_path / "b.tar.gz", [about(tarfile.GNUTYPE_LONGNAME)] * 100 + whole(members))
    with pytest.raises(BadBundle, match="100 members or more"):
        read_bundle(tmp_path / "b.tar.gz", tmp_path / "out", "returns")


def test_a_bomb_behind_the_archives_end_stops_at_the_limit(
    members: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bundle(members, tmp_path / "b.tar.gz")
    monkeypatch.setattr(bundle, "TOTAL", 1 << 20)
    with (tmp_path / "b.tar.gz").open("ab") as archive:
        archive.write(gzip.compress(bytes(2 << 20)))
    with pytest.raises(BadBundle, match="unpacks to more"):
        read_bundle(tmp_path / "b.tar.gz", tmp_path / "out", "returns")


@pytest.mark.parametrize("name", ["bundle.json", "model.onnx", "reference.npz"])
def test_a_missing_member_is_named(members: Path, tmp_path: Path, name: str) -> None:
    kept = [pair for pair in whole(members) if not pair[0].name.endswith(name)]
    pack(tmp_path / "b.tar.gz", kept)
    with pytest.raises(BadBundle, match=name.replace(".", r"\.")):
        read_bundle(tmp_path / "b.tar.gz", tmp_path / "out", "returns")
    (members / name).unlink()
    with pytest.raises(BadBundle, match=name.replace(".", r"\.")):
        write_bundle(members, tmp_path / "c.tar.gz")


def change(**values: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda document: {**document, **values}


@pytest.mark.parametrize(
    ("alter", "says"),
    [
        (lambda document: [document], "no JSON object"),
        (lambda document: {k: v for k, v in document.items() if k != "targets"}, "'targets' is missing"),
        (change(format=True), "'format' is missing or of the wrong type"),
        (change(format=2), "format is 2"),
        (change(pipeline="rul"), "pipeline 'rul'"),
        (change(inputs=[{"name": "features"}]), "'inputs' needs"),
        (change(targets=[{"name": "up", "unit": "percent"}] * 2), "names that differ"),
        (change(training={"start": "yesterday", "end": "2026-11-10T00:00:00Z"}), "'training' needs"),
        (change(training={"start": "0001-01-01T00:00:00+14:00", "end": "2026-11-10T00:00:00Z"}), "'training' needs"),
        (change(validation={"start": "2026-11-12T00:00:00Z", "end": "2026-11-10T00:00:00Z"}), "ends before"),
        (change(train_mean={"up": 1.0}), "one finite number per target"),
        (change(train_mean={"up": 1.0, "down": float("nan")}), "one finite number per target"),
    ],
)
def test_a_document_that_breaks_its_schema_is_refused_with_the_fault(
    members: Path, tmp_path: Path, alter: Callable[[dict[str, Any]], Any], says: str
) -> None:
    (members / "bundle.json").write_text(json.dumps(alter(DOCUMENT)))
    write_bundle(members, tmp_path / "b.tar.gz")
    with pytest.raises(BadBundle, match=says):
        read_bundle(tmp_path / "b.tar.gz", tmp_path / "out", "returns")


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"[" * 200_000], ids=["cut", "not text", "nested too deep"])
def test_a_document_that_is_not_json_is_refused(members: Path, tmp_path: Path, body: bytes) -> None:
    (members / "bundle.json").write_bytes(body)
    write_bundle(members, tmp_path / "b.tar.gz")
    with pytest.raises(BadBundle, match="not JSON"):
        read_bundle(tmp_path / "b.tar.gz", tmp_path / "out", "returns")


@pytest.mark.parametrize(
    "arrays",
    [
        {"features": np.ones((3, 4), "f4")},
        {"features": np.ones((3, 4)), "predictions": np.zeros((3, 2), "f4")},
        {"features": np.ones((3, 4), "f4"), "predictions": np.zeros((2, 2), "f4")},
        {"features": np.ones((0, 4), "f4"), "predictions": np.zeros((0, 2), "f4")},
        {"features": np.array([print]), "predictions": np.zeros((1, 2), "f4")},
    ],
    ids=["one array missing", "doubles", "another number of rows", "no rows", "a pickled object"],
)
def test_reference_rows_that_cannot_be_compared_are_refused(
    members: Path, tmp_path: Path, arrays: dict[str, np.ndarray]
) -> None:
    np.savez(members / "reference.npz", **arrays)  # type: ignore[arg-type]
    write_bundle(members, tmp_path / "b.tar.gz")
    read = read_bundle(tmp_path / "b.tar.gz", tmp_path / "out", "returns")
    with pytest.raises(BadBundle, match=r"reference\.npz"):
        read.reference()


def test_reference_rows_that_unpack_beyond_the_limit_are_refused_unread(members: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(members / "reference.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("features.npy", bytes(200_000_000))
        archive.writestr("predictions.npy", b"")
    write_bundle(members, tmp_path / "b.tar.gz")
    read = read_bundle(tmp_path / "b.tar.gz", tmp_path / "out", "returns")
    with pytest.raises(BadBundle, match="too large"):
        read.reference()


def test_reference_rows_in_columns_are_read_as_they_were(members: Path, tmp_path: Path) -> None:
    features = np.asfortranarray(np.arange(6, dtype="f4").reshape(3, 2))
    np.savez(members / "reference.npz", features=features, predictions=np.zeros((3, 2), "f4"))
    write_bundle(members, tmp_path / "b.tar.gz")
    read = read_bundle(tmp_path / "b.tar.gz", tmp_path / "out", "returns")
    np.testing.assert_array_equal(read.reference()[0], features)


def head(shape: str) -> bytes:
    return b"\x93NUMPY\x01\x00v\x00" + f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()


@pytest.mark.parametrize(
    ("features", "packed"),
    [
        (head("()") + bytes(4), zipfile.ZIP_STORED),
        (head("(1099511627776, 4)") + bytes(48), zipfile.ZIP_STORED),
        (head("(3, 5)") + bytes(48), zipfile.ZIP_STORED),
        (head("(" * 3000), zipfile.ZIP_STORED),
        (head("(3, 4)") + bytes(48), zipfile.ZIP_LZMA),
    ],
    ids=[
        "no dimension",
        "more rows than there are",
        "other rows than there are",
        "a head that nests",
        "a rare packing",
    ],
)
def test_an_array_is_taken_at_the_word_of_its_bytes_alone(
    members: Path, tmp_path: Path, features: bytes, packed: int
) -> None:
    with zipfile.ZipFile(members / "reference.npz", "w", packed) as archive:
        archive.writestr("features.npy", features)
        archive.writestr("predictions.npy", head("(3, 2)") + bytes(24))
    write_bundle(members, tmp_path / "b.tar.gz")
    read = read_bundle(tmp_path / "b.tar.gz", tmp_path / "out", "returns")
    with pytest.raises(BadBundle, match=r"reference\.npz"):
        read.reference()


def test_an_array_that_unpacks_to_more_than_it_says_is_not_unpacked(members: Path, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("features.npy", bytes(200_000_000))
        archive.writestr("predictions.npy", b"")
    said = packed.getvalue().replace((200_000_000).to_bytes(4, "little"), (160).to_bytes(4, "little"))
    (members / "reference.npz").write_bytes(said)
    write_bundle(members, tmp_path / "b.tar.gz")
    read = read_bundle(tmp_path / "b.tar.gz", tmp_path / "out", "returns")
    tracemalloc.start()
    with pytest.raises(BadBundle, match=r"reference\.npz"):
        read.reference()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000
