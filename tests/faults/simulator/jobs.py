"""SageMaker of a simulated world: jobs that train, fail, leave no bundle or are stopped."""

from dataclasses import dataclass
from typing import Any

from tests.faults.simulator.bucket import Change
from tests.faults.simulator.functions import PIPELINE
from tests.faults.simulator.processes import Process
from tests.faults.simulator.scene import Scene
from tests.faults.simulator.stand_ins import pack


@dataclass
class Job:
    """A training job."""

    name: str
    request: dict[str, Any]
    owner: str
    status: str = "InProgress"
    reason: str = ""
    process: Process | None = None

    def described(self) -> dict[str, Any]:
        return {"TrainingJobName": self.name, "TrainingJobStatus": self.status, "FailureReason": self.reason}


class Jobs(Scene):
    """A world in which jobs train."""

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.jobs: dict[str, Job] = {}
        self.spoilt: set[str] = set()

    def create_job(self, name: str, request: dict[str, Any], owner: str) -> Job | None:
        """A training job under a name that nobody has yet, else None; `owner` is an execution's ARN."""
        if name in self.jobs:
            return None
        job = self.jobs[name] = Job(name, request, owner)
        job.process = self.spawn(f"job {name}", lambda process: self._train(job, process), lambda process: None)
        return job

    def _train(self, job: Job, process: Process) -> None:
        knobs = job.request["HyperParameters"]
        action = process.ask("train", job.name)
        if action == "job fails":
            job.status, job.reason = "Failed", "AlgorithmError: out of memory"
            return
        digest = self.watch.training_reads(knobs["train_uri"], job.name)
        scale = self.chance(f"model {job.name}").uniform(0.5, 2.0)
        if self.signed:
            # Most are better than all before: what comes after the verdict is of interest.
            scale = max(self.watch.scales.values(), default=1.0) * (0.7 + 0.4 * scale)
        body = pack(knobs["run_ts"], knobs["train_uri"], digest, scale)
        if process.ask("upload", job.name) == "job writes no bundle":
            body = b"cut off"
            self.spoilt.add(knobs["run_ts"])
        output = f"{PIPELINE.keys.jobs()}{job.name}/output/model.tar.gz"
        self.bucket.apply(Change(output, body, None, False, {}, process.name))
        job.status = "Completed"

    def stop_jobs(self, owner: str) -> None:
        """Stops what an execution left training."""
        for job in self.jobs.values():
            if job.owner == owner and job.status == "InProgress":
                job.status, job.reason = "Stopped", ""
                if job.process and job.process.name in self.processes:
                    self.stop(job.process.name)
