"""What AWS's own services do in the template's name, and the rights that their documentation says this takes.

Which of them do it, and about what, is read off the definitions, the request for a training job, and the template.
"""

from collections.abc import Iterator
from typing import Any

from ratchet.catalog import Pipeline, load, names
from ratchet.keys import source_archive
from ratchet.settings import Settings
from ratchet.training_request import Run, request

from tests.contract.application import Machine, states
from tests.fakes import MemoryStore
from tests.faults.rights_aws import PASSED
from tests.faults.rights_granted import AWS_POLICY, Right
from tests.faults.rights_kinds import samples
from tests.faults.rights_resources import ANYTHING, EXECUTIONS_RULE, JOBS_RULE, NAMES, Kinds, kind_of
from tests.faults.rights_template import BUCKET, STACK, Template

LOGS_OF_MACHINES = (
    *("CreateLogDelivery", "DeleteLogDelivery", "DescribeLogGroups", "DescribeResourcePolicies", "GetLogDelivery"),
    *("ListLogDeliveries", "PutResourcePolicy", "UpdateLogDelivery"),
)
"""Step Functions, Logging using CloudWatch Logs."""
MANAGED_RULE = ("events:DescribeRule", "events:PutRule", "events:PutTargets")
"""Of the rule by which Step Functions hears that something ended that it waits for."""
TRACING = Right(f"{AWS_POLICY}AWSXrayWriteOnlyAccess", ANYTHING)
LOGGING = Right(f"{AWS_POLICY}AWSLambdaBasicExecutionRole", ANYTHING)
METRICS = '{"StringLike": {"cloudwatch:namespace": "/aws/sagemaker/*"}}'


def of_function(name: str, template: Template, kinds: Kinds) -> set[Right]:
    """What Lambda does as the function of that logical id: logs, traces, and hands on what failed."""
    function = template.of_type("AWS::Lambda::Function")[name]
    found = {LOGGING} | ({TRACING} if function["TracingConfig"]["Mode"] == "Active" else set())
    for each in template.of_type("AWS::Lambda::EventInvokeConfig").values():
        if each["FunctionName"] == name:
            queue = each["DestinationConfig"]["OnFailure"]["Destination"]
            found.add(Right("sqs:SendMessage", kind_of(kinds, queue)))
    return found


def of_machine(machine: Machine, template: Template, kinds: Kinds) -> set[Right]:
    """What Step Functions does as a state machine: its tasks and maps, logs, traces."""
    given = {name: template.filled(value) for name, value in machine.substitutions.items()}
    found = {TRACING} if machine.resource["Properties"]["Tracing"]["Enabled"] else set()
    found |= {Right(f"logs:{action}", ANYTHING) for action in LOGS_OF_MACHINES}
    for _, state in states(machine.definition):
        if state["Type"] == "Task":
            found |= set(_of_task(_filled(state, given), kinds))
        if state.get("ItemProcessor", {}).get("ProcessorConfig", {}).get("Mode") == "DISTRIBUTED":
            found |= set(_of_map(machine.name))
    return found


def _filled(state: dict[str, Any], given: dict[str, str]) -> dict[str, Any]:
    """A state with the template's values for the placeholders that stand alone."""
    arguments = state.get("Arguments", {})
    values = arguments.items() if isinstance(arguments, dict) else ()
    return {
        "Resource": given.get(state["Resource"][2:-1], state["Resource"]),
        "Arguments": {name: given.get(str(value)[2:-1], value) for name, value in values},
    }


def _of_task(task: dict[str, Any], kinds: Kinds) -> Iterator[Right]:
    resource, arguments = task["Resource"], task["Arguments"]
    if resource.startswith("arn:aws:lambda:"):
        yield Right("lambda:InvokeFunction", kind_of(kinds, resource))
    elif resource == "arn:aws:states:::lambda:invoke.waitForTaskToken":
        yield Right("lambda:InvokeFunction", kind_of(kinds, arguments["FunctionName"]))
    elif resource == "arn:aws:states:::sns:publish":
        yield Right("sns:Publish", kind_of(kinds, arguments["TopicArn"]))
    elif resource == "arn:aws:states:::states:startExecution.sync:2":
        yield from _of_child(kind_of(kinds, arguments["StateMachineArn"]))
    else:
        assert resource == "arn:aws:states:::sagemaker:createTrainingJob.sync", f"what does {resource} take?"
        yield from _of_job()


def _of_child(machine: str) -> Iterator[Right]:
    """Step Functions, IAM policies for AWS Step Functions (synchronous)."""
    yield Right("states:StartExecution", machine)
    for action in ("DescribeExecution", "StopExecution"):
        yield Right(f"states:{action}", f"executions of {machine}")
    yield from (Right(action, EXECUTIONS_RULE) for action in MANAGED_RULE)


def _of_job() -> Iterator[Right]:
    """Step Functions, IAM policies for Amazon SageMaker (.sync); the request's tags, and its own, it adds besides."""
    for action in ("AddTags", "CreateTrainingJob", "DescribeTrainingJob", "ListTags", "StopTrainingJob"):
        yield Right(f"sagemaker:{action}", "training jobs")
    yield Right(f"iam:PassRole if {PASSED}", "TrainingRole")
    yield from (Right(action, JOBS_RULE) for action in MANAGED_RULE)


def _of_map(machine: str) -> Iterator[Right]:
    """Step Functions, IAM policies for using Distributed Map state; its items are executions of the same machine."""
    yield Right("states:StartExecution", machine)
    for action in ("DescribeExecution", "StopExecution"):
        yield from (Right(f"states:{action}", f"{kind} of {machine}") for kind in ("executions", "items"))


def of_training(template: Template, kinds: Kinds) -> set[Right]:
    """SageMaker, CreateTrainingJob API: execution role permissions; and using checkpoints."""
    return set().union(*(_of_pipeline(load(name), template, kinds) for name in names()))


def _of_pipeline(pipeline: Pipeline, template: Template, kinds: Kinds) -> set[Right]:
    asked = _request(pipeline, template)
    channels = [each["DataSource"]["S3DataSource"]["S3Uri"] for each in asked["InputDataConfig"]]
    code = asked["HyperParameters"]["sagemaker_submit_directory"]
    back_and_forth, written = asked["CheckpointConfig"]["S3Uri"], asked["OutputDataConfig"]["S3OutputPath"]
    read, own = (*channels, code, back_and_forth), pipeline.prefix
    found = {Right("s3:GetObject", kind) for uri in read for kind in _below(uri, own)}
    found |= {Right("s3:PutObject", kind) for uri in (written, back_and_forth) for kind in _below(uri, own)}
    image = kinds["the training image"][0].split(":")
    assert asked["AlgorithmSpecification"]["TrainingImage"].startswith(f"{image[4]}.dkr.ecr.{image[3]}.")
    return found | _of_container("the training image", "the logs of training")


def _of_container(image: str, logs: str) -> set[Right]:
    """What SageMaker takes to run a container on something in S3."""
    pulled = ("BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer")
    logged = ("CreateLogGroup", "CreateLogStream", "DescribeLogStreams", "PutLogEvents")
    return {
        *(Right("s3:ListBucket", NAMES), Right("ecr:GetAuthorizationToken", ANYTHING)),
        *(Right(f"ecr:{action}", image) for action in pulled),
        *(Right(f"logs:{action}", logs) for action in logged),
        Right(f"cloudwatch:PutMetricData if {METRICS}", ANYTHING),
    }


def of_endpoints() -> set[Right]:
    """SageMaker, CreateModel API: execution role permissions."""
    return {Right("s3:GetObject", "model"), *_of_container("the inference image", "the logs of endpoints")}


def of_feature_store(kinds: Kinds) -> set[Right]:
    """The managed policy AmazonSageMakerFeatureStoreAccess, for a store that Glue knows nothing of."""
    written = {Right(f"s3:{action}", "the offline store") for action in ("PutObject", "PutObjectAcl")}
    return written | {Right("s3:GetBucketAcl", kind) for kind, examples in kinds.items() if examples == kinds[NAMES]}


def of_events(template: Template, kinds: Kinds) -> set[Right]:
    """What EventBridge does as the role that a rule's target names: starts machines."""
    targets = [target for rule in template.of_type("AWS::Events::Rule").values() for target in rule["Targets"]]
    found = set()
    for target in (each for each in targets if "RoleArn" in each):
        assert target["RoleArn"] == template.arn("UploadsRole")
        found.add(Right("states:StartExecution", kind_of(kinds, target["Arn"])))
    return found


def _request(pipeline: Pipeline, template: Template) -> dict[str, Any]:
    """What SageMaker is asked for, as the function that asks is told by the template."""
    told = template.environment("StageTrainingFunction")
    role, images = told["RATCHET_TRAINING_ROLE"], ("RATCHET_TRAINING_IMAGE", "RATCHET_TRAINING_CPU_IMAGE")
    assert role == template.arn("TrainingRole")
    image, of_cpu = (told[name] for name in images)
    settings = Settings(BUCKET, STACK, training_role=role, training_image=image, training_cpu_image=of_cpu)
    store = MemoryStore(BUCKET)
    run = Run("2026-11-21T04-00-00Z", store.uri(pipeline.keys.train("2026-11-21T04-00-00Z")))
    code = {"code_uri": store.uri(source_archive("0123456789abcdef")), "code": "0123456789abcdef"}
    return request(pipeline, settings, store, run, **code, region="us-east-1")


def _below(uri: str, prefix: str) -> Iterator[str]:
    """The kinds of objects at a URI or below it, of the pipeline with that prefix."""
    place = uri.removeprefix(f"s3://{BUCKET}/")
    for kind, keys in samples(prefix).items():
        if any(key == place or key.startswith(f"{place.rstrip('/')}/") for key in keys):
            yield kind


def of_schedules(template: Template, kinds: Kinds) -> set[Right]:
    """What the scheduler does: starts machines, calls functions, and hands over what it cannot deliver."""
    found = set()
    for each in template.of_type("AWS::Scheduler::Schedule").values():
        target = kind_of(kinds, each["Target"]["Arn"])
        starts = ":stateMachine:" in each["Target"]["Arn"]
        found.add(Right("states:StartExecution" if starts else "lambda:InvokeFunction", target))
        found.add(Right("sqs:SendMessage", kind_of(kinds, each["Target"]["DeadLetterConfig"]["Arn"])))
        assert each["Target"]["RoleArn"] == template.arn("SchedulerRole")
    return found
