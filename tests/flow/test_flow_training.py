"""The state `Train` of the deployed release machine: jobs that complete, fail, are stopped or cannot be created."""

import json
from typing import Any

from tests.flow.script import Answer, Part
from tests.flow.stage import Stage, until


def started(stage: Stage, part: Part) -> str:
    """The name of the pipeline's training job, once it trains."""
    name = f"mlops-{part.pipeline}-a1r0"

    def statuses() -> Any:
        found = stage.sagemaker.list_training_jobs(NameContains=name)["TrainingJobSummaries"]
        return found and stage.sagemaker.describe_training_job(TrainingJobName=name)["SecondaryStatus"]

    until(statuses, lambda found: found == "Training")
    return name


def failing(name: str, saying: str) -> list[Answer]:
    return [{"raises": name, "saying": saying}]


def test_a_job_is_started_and_its_bundle_judged(stage: Stage) -> None:
    machine, part = stage.pipeline(stage_training=[stage.training("complete")])
    ended = stage.end(stage.start(machine, {}))
    name = f"mlops-{part.pipeline}-a1r0"
    assert json.loads(ended["output"])["outcome"] == "promoted"
    assert [(event["job_name"], event["error"]) for event in part.events("confirm_training")] == [(name, None)]
    assert stage.sagemaker.describe_training_job(TrainingJobName=name)["TrainingJobStatus"] == "Completed"


def test_a_job_that_fails_is_the_training_error_that_the_classifier_names(stage: Stage) -> None:
    raised = failing("TrainingFailed", "the loss is not finite. The job's log says more.")
    machine, part = stage.pipeline(stage_training=[stage.training("fail")], confirm_training=raised)
    ended = stage.end(stage.start(machine, {}))
    (confirmed,) = part.events("confirm_training")
    assert confirmed["job_name"] == f"mlops-{part.pipeline}-a1r0"
    assert confirmed["error"]["Error"] == "States.TaskFailed"
    described = json.loads(confirmed["error"]["Cause"])
    assert described["FailureReason"] == "AlgorithmError: the loss is not finite, exit code: 1"
    assert (ended["error"], ended["cause"]) == ("TrainingFailed", "the loss is not finite. The job's log says more.")
    assert part.steps[-2:] == ["confirm_training", "give_back_lease"]


def test_a_job_that_somebody_stops_passes_the_classifier_too(stage: Stage) -> None:
    raised = failing("TrainingStopped", "Somebody stopped the job; resume the run to train again.")
    machine, part = stage.pipeline(stage_training=[stage.training("sleep")], confirm_training=raised)
    execution = stage.start(machine, {})
    stage.sagemaker.stop_training_job(TrainingJobName=started(stage, part))
    ended = stage.end(execution)
    assert part.events("confirm_training")[0]["error"] is None
    assert (ended["error"], ended["cause"]) == (raised[0]["raises"], raised[0]["saying"])


def test_each_try_to_create_a_job_takes_another_name(stage: Stage) -> None:
    raised = failing("TrainingFailed", "The training job did not start")
    refused = stage.training("complete", RoleArn="no role, only long enough")
    machine, part = stage.pipeline(stage_training=[refused], confirm_training=raised)
    ended = stage.end(stage.start(machine, {}))
    (confirmed,) = part.events("confirm_training")
    assert confirmed["error"]["Error"] == "SageMaker.AmazonSageMakerException"
    assert confirmed["job_name"] == f"mlops-{part.pipeline}-a1r4"
    assert ended["error"] == "TrainingFailed"


def test_a_name_that_another_job_has_is_left_to_the_classifier(stage: Stage) -> None:
    first, part = stage.pipeline(stage_training=[stage.training("complete")])
    stage.end(stage.start(first, {}))
    taken = {**stage.training("complete"), "job_name": f"mlops-{part.pipeline}-a1"}
    second, other = stage.pipeline(stage_training=[taken])
    assert stage.end(stage.start(second, {}))["status"] == "SUCCEEDED"
    (confirmed,) = other.events("confirm_training")
    assert confirmed["job_name"] == f"mlops-{part.pipeline}-a1r0"
    assert confirmed["error"]["Error"] == "SageMaker.ResourceInUseException"
