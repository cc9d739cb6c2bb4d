"""Files of records as a source: a CSV file is a part, a record is a row (`ratchet.files.kind`)."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.compute as pc

from ratchet.catalog import Pipeline
from ratchet.errors import BadConfiguration, BadInput, SourceMismatch, Unavailable
from ratchet.extraction.source import Rejected
from ratchet.files.kind import Content, Examples
from ratchet.files.part import Part
from ratchet.files.span import Span
from ratchet.records import record
from ratchet.sources import TabularFiles
from ratchet.store import Listed, ObjectStore
from ratchet.tabular import examples, reader, records
from ratchet.tabular.layout import GROUP, RECORD, layout_of
from ratchet.tabular.reader import LONGEST, Aside, Seen

NAMED = ".csv"
MARK_DIGITS = 12


@dataclass(frozen=True)
class File:
    """What is told of a part: its file, how many groups and positives it has, and some of its groups by their marks:
    all, or as many as suffice a run.
    """

    file: str
    groups: int
    positives: int
    marks: list[str]


class Source:
    """The files of records of a pipeline."""

    table = "records"

    def __init__(self, pipeline: Pipeline) -> None:
        """Raises BadConfiguration for columns, ranges or categories that make no sense."""
        self.pipeline = pipeline
        self.declared = pipeline.source_as(TabularFiles)
        self.layout = layout_of(self.declared)
        self.prefix = self.declared.prefix
        self.schema = self.layout.schema
        if [*pipeline.data.targets] != [self.layout.label] or pipeline.data.salt is None:
            raise BadConfiguration("Of a source of records, data.targets names the label alone, and data.salt is set.")

    @property
    def reads(self) -> str:
        """The columns, ranges and categories, and how many groups a part must tell of."""
        return repr((self.layout, self.declared.minimum.groups))

    def span(self, run_ts: str, month: str | None) -> Span:
        """Everything; what came later than a run is left out by its instant."""
        return Span()

    def plan(self, files: ObjectStore, span: Span) -> dict[str, list[Listed]]:
        """Each CSV file by itself."""
        return {part_name(each.key): [each] for each in files.list(self.prefix) if each.key.lower().endswith(NAMED)}

    def name_of(self, asked: str) -> str:
        """The part of a file, by its key."""
        return part_name(asked) if asked.startswith(self.prefix) else asked

    def files_of(self, files: ObjectStore, name: str) -> list[Listed]:
        """The file of a part, none where it is gone."""
        return self.plan(files, Span()).get(name, [])

    def read(self, files: ObjectStore, listed: list[Listed]) -> Content:
        """The file's records. Raises SourceMismatch, Unavailable where the file is replaced meanwhile."""
        if not listed:
            return Content(self.schema.empty_table(), 0, {}, {}, asdict(File("", 0, 0, [])), [])
        (file,) = listed
        if file.modified is None:
            raise BadInput(
                f"The store does not say since when it has {file.key}, which is when its records came to be."
            )
        self.refuse_large(file.size, file.key)
        with TemporaryDirectory() as folder:
            path = Path(folder, "records.csv")
            if files.download(file.key, path) != file.etag:
                raise Unavailable(f"{file.key} was replaced while it was read: again.")
            # S3 tells whole seconds, as runs are named; a store that tells more would put a file after its own run.
            return self.content(path, file.key, file.modified.replace(microsecond=0))

    def key_of(self, digest: str) -> str:
        """Where a file is put by its SHA-256, in hexadecimal: the same file in the same place."""
        return f"{self.prefix}{digest[:16]}{NAMED}"

    def refuse_large(self, size: int, name: str) -> None:
        """Raises SourceMismatch for a file of more bytes than the source takes."""
        if size > self.declared.max_bytes:
            raise SourceMismatch(
                f"{name} has {size:,} bytes; source.max_bytes is {self.declared.max_bytes:,}: make several files of it."
            )

    def content(self, path: Path, key: str, at: datetime, seen: Seen = lambda size: None) -> Content:
        """The records of the file `key`, which lies at `path`, put there `at`; `seen` is told of bytes as they are
        read. Raises SourceMismatch naming the file.
        """
        aside = Aside()
        try:
            found = records.of_rows(reader.blocks(path, self.layout, at, aside, seen), self.layout)
        except SourceMismatch as error:
            raise SourceMismatch(f"{key}: {error}") from error
        rows, rejected = found.rows, dict(aside.counts)
        if found.disputed:
            rejected["two labels"] = found.disputed
        ignored = {"duplicate": found.duplicates} if found.duplicates else {}
        groups = pc.unique(rows[GROUP]).to_pylist()
        marks = sorted(hashlib.sha256(group.encode()).hexdigest()[:MARK_DIGITS] for group in groups)
        positives = pc.sum(rows[self.layout.label], min_count=0).as_py()
        about = File(key, len(groups), positives, marks[: self.declared.minimum.groups])
        lines = [Rejected("", reason, f"row {number} of the file") for reason, number in aside.rows]
        return Content(rows, rows.num_rows, ignored, rejected, asdict(about), lines)

    def fault(self, rows: pa.Table) -> str | None:
        """Records have a key, each its own, an instant, a group, a label, and attributes as they are declared."""
        layout = self.layout
        if any(rows[name].null_count for name in self.schema.names if name not in layout.fields):
            return "its keys, instants, groups or labels hold nulls"
        if pc.count_distinct(rows[RECORD]).as_py() < rows.num_rows:
            return "some of its records are there twice"
        sound = {name: pc.is_in(rows[name], pa.array([*values, None])) for name, values in layout.categories.items()}
        sound[layout.label] = pc.is_in(rows[layout.label], pa.array([0, 1], pa.int8()))
        sound[GROUP] = pc.less_equal(pc.utf8_length(rows[GROUP]), LONGEST)
        for name, (low, high) in layout.numbers.items():
            inside = pc.and_(pc.greater_equal(rows[name], low), pc.less_equal(rows[name], high))
            sound[name] = inside.fill_null(True)
        broken = [name for name, each in sound.items() if not pc.all(each, min_count=0).as_py()]
        return f"its {broken[0]} holds what is not declared" if broken else None

    def shortage(self, parts: Mapping[str, Part]) -> str | None:
        """By records, and by groups in all files together. Raises ForeignDocument."""
        told = [record(File, part.about, f"{name}.json") for name, part in parts.items()]
        least = self.declared.minimum
        counted = sum(part.records for part in parts.values())
        groups = len({str(mark) for file in told for mark in file.marks})
        if counted >= least.records and groups >= least.groups:
            return None
        aside = Counter[str]()
        for part in parts.values():
            aside.update(part.rejected)
        said = f"; {aside.total():,} rows were rejected" if aside else ""
        # No part tells of more groups than suffice.
        more = " or more" if groups >= least.groups else ""
        return (
            f"There are {counted:,} records ({least.records:,} needed) of {groups:,}{more} groups ({least.groups:,} "
            f"needed) in {sum(bool(file.file) for file in told):,} files below {self.prefix}{said}."
        )

    def examples(self, parts: Iterator[pa.Table], span: Span, until: datetime) -> Examples:
        """A row per record that had come to be at `until`, as it was told last."""
        return examples.of_records(self.pipeline, self.layout, parts, until)


def part_name(key: str) -> str:
    """A part's name: that of its file may hold anything."""
    return f"file={hashlib.sha256(key.encode()).hexdigest()[:16]}"
