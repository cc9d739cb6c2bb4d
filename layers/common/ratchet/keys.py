"""Where everything lies in the landing bucket: one place for every key (design: keys and documents in S3)."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class Keys:
    """Every key of one pipeline below its prefix, which is empty or ends in `/`."""

    prefix: str

    def roots(self) -> list[str]:
        """Prefixes of everything that belongs to the pipeline, and of nothing else."""
        data = ("landing", "quarantine", "train", "holdout", "features")
        models = ("checkpoints", "jobs", "model", "approvals", "predictions")
        return [*(f"{self.prefix}{folder}/" for folder in ("runs", *data, *models)), self.lease()]

    def claim(self, run: str) -> str:
        """The claim of a run."""
        return f"{self.prefix}runs/{run}.json"

    def lease(self) -> str:
        """The right to run."""
        return f"{self.prefix}lease.json"

    def landing_root(self, table: str) -> str:
        """All raw rows of a table."""
        return f"{self.prefix}landing/{table}/"

    def landing(self, table: str, day: date) -> str:
        """The raw rows of a table and UTC day."""
        return f"{self.prefix}landing/{table}/dt={day.isoformat()}.parquet"

    def rejected_root(self, table: str) -> str:
        """All rows of a table that broke a declared type."""
        return f"{self.prefix}landing/{table}/rejected/"

    def rejected(self, table: str, day: date | None) -> str:
        """The rows of a table and UTC day that broke a declared type; None for those without a readable key."""
        return f"{self.rejected_root(table)}dt={day.isoformat() if day else 'unknown'}.parquet"

    def watermark(self, table: str) -> str:
        """Where extraction of a table stands."""
        return f"{self.prefix}landing/{table}/watermark.json"

    def part(self, table: str, name: str) -> str:
        """A part of a source that is files."""
        return f"{self.landing_root(table)}{name}.parquet"

    def part_document(self, table: str, name: str) -> str:
        """What a part was made from."""
        return f"{self.landing_root(table)}{name}.json"

    def part_rejected(self, table: str, name: str) -> str:
        """The lines of a part that are no records."""
        return f"{self.rejected_root(table)}{name}.parquet"

    def quarantine_root(self, run: str) -> str:
        """All rows that a run does without."""
        return f"{self.prefix}quarantine/run_ts={run}/"

    def quarantine(self, run: str) -> str:
        """Joined rows that broke the contract in a run, each with its reason."""
        return f"{self.quarantine_root(run)}rejected.parquet"

    def set_aside(self, run: str) -> str:
        """Rows that extraction could not read as declared and a run therefore lacks, each with its reason."""
        return f"{self.quarantine_root(run)}set_aside.parquet"

    def train(self, run: str) -> str:
        """Training and validation rows of a run; the parent prefix is the training job's channel."""
        return f"{self.prefix}train/run_ts={run}/train.parquet"

    def manifest(self, run: str) -> str:
        """Counts, digests and schema of a run's data."""
        return f"{self.prefix}train/run_ts={run}/manifest.json"

    def train_latest(self) -> str:
        """The newest prepared data."""
        return f"{self.prefix}train/latest.json"

    def holdout(self, run: str) -> str:
        """The rows that no training sees."""
        return f"{self.prefix}holdout/run_ts={run}/holdout.parquet"

    def checkpoints(self, run: str) -> str:
        """Checkpoints of a run's training, shared by its attempts."""
        return f"{self.prefix}checkpoints/run_ts={run}/"

    def jobs(self) -> str:
        """Where SageMaker writes its own output; below it stands `<job>/output/model.tar.gz`."""
        return f"{self.prefix}jobs/"

    def model(self, run: str) -> str:
        """A run's bundle."""
        return f"{self.prefix}model/run_ts={run}/model.tar.gz"

    def evaluation(self, run: str) -> str:
        """The evidence of a run's verdict."""
        return f"{self.prefix}model/run_ts={run}/evaluation.json"

    def card(self, run: str) -> str:
        """The report card of a run."""
        return f"{self.prefix}model/run_ts={run}/card.html"

    def package(self, run: str) -> str:
        """What is registered of a run."""
        return f"{self.prefix}model/run_ts={run}/package.json"

    def approval(self, package: str) -> str:
        """Whether somebody waits for a package to be approved, and how it was decided."""
        return f"{self.prefix}approvals/{package}.json"

    def features(self, part: str) -> str:
        """How much of a part the feature group holds."""
        return f"{self.prefix}features/{part}.json"

    def tests(self) -> str:
        """Which runs the gate has tested against which champion."""
        return f"{self.prefix}model/tests.json"

    def pointer(self) -> str:
        """The model in service."""
        return f"{self.prefix}model/latest.json"

    def history(self, seq: int) -> str:
        """One move of the pointer; zero-padded, so that a listing is in order."""
        return f"{self.prefix}model/history/{seq:08d}.json"

    def predictions_root(self) -> str:
        """All scored rows."""
        return f"{self.prefix}predictions/"

    def predictions(self, day: date, base_ts: str) -> str:
        """The scored rows of one slot."""
        return f"{self.prefix}predictions/dt={day.isoformat()}/base_ts={base_ts}.jsonl"

    def scoring_state(self) -> str:
        """Up to which slot everything has been scored."""
        return f"{self.prefix}predictions/latest.json"


def source_archive(digest: str) -> str:
    """What a training job runs, by the digest of its content; shared by all pipelines."""
    return f"code/{digest}/source.tar.gz"
