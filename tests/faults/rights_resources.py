"""What a right may be about: every kind of thing that a pattern could reach, ours and other people's, by examples.

A kind of object is named as the method of `Keys` that makes its key, a resource of the template by its logical id.
"""

import re
from functools import cache

from ratchet.catalog import load, names
from ratchet.endpoint.hosting import candidate_name, config_name, endpoint_name
from ratchet.training_request import base_name

from tests.contract.application import DEPLOYED_MACHINES, states
from tests.faults.rights_kinds import PREFIXES, SENSOR_FILES, of_sensors, samples
from tests.faults.rights_template import ACCOUNT, BUCKET, REGION, STACK, Template

Kinds = dict[str, list[str]]
ANYTHING = "*"
"""What an action is about that knows no resource."""
NAMES, OTHER_NAMES = "the names of the keys it reads", "the names of all other keys"
SENSOR_NAMES, OTHER_SENSOR_NAMES = "the names of files of sensors", "the names of all other keys beside them"
SECRET, PARAMETER = "ratchet/supabase", "ssm:/ratchet/supabase"
"""Where the source's credentials may stand."""
JOBS_RULE = "StepFunctionsGetEventsForSageMakerTrainingJobsRule"
EXECUTIONS_RULE = "StepFunctionsGetEventsForStepFunctionsExecutionRule"


def arn(service: str, rest: str) -> str:
    """An ARN in the account and region of the tests."""
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}"


def execution(machine: str) -> str:
    """An execution of the state machine of that ARN."""
    return machine.replace(":stateMachine:", ":execution:") + ":run"


def job(pipeline: str) -> str:
    """The name of a training job."""
    return base_name(pipeline, STACK, "2026-11-21T04-00-00Z", 1) + "r0"


def kinds(template: Template) -> Kinds:
    """All of them, each with examples."""
    ours = {**_machines(template), **_functions(template), **_named(template), **_training(template)}
    signed = {**_packages(template), **_hosted(), **_features(template)}
    return {**_objects(), **_beside(template), **ours, **signed, **_secrets(template), ANYTHING: [ANYTHING]}


def kind_of(kinds: Kinds, example: str) -> str:
    """The kind of an example."""
    return next(kind for kind, examples in kinds.items() if example in examples)


def matches(pattern: str, example: str) -> bool:
    """Whether a pattern of a policy reaches an example: `*` stands for any characters, `/` as well, `?` for one."""
    return _compiled(pattern).fullmatch(example) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."))


def _objects() -> Kinds:
    bucket, found = f"arn:aws:s3:::{BUCKET}", Kinds()
    for prefix in PREFIXES:
        for kind, keys in samples(prefix).items():
            found.setdefault(kind, []).extend(f"{bucket}/{key}" for key in keys)
    return {
        **found,
        NAMES: [bucket],
        OTHER_NAMES: [bucket],
        "other objects": [f"{bucket}/elsewhere/object", f"{bucket}/other/elsewhere/object"],
        "other buckets": ["arn:aws:s3:::elsewhere", "arn:aws:s3:::elsewhere/lease.json"],
    }


def _beside(template: Template) -> Kinds:
    """What there is in the bucket that sensors write to, which may be the landing bucket."""
    name = template.parameters["SensorBucketName"] or BUCKET
    bucket = f"arn:aws:s3:::{name}"
    found = {SENSOR_FILES: [f"{bucket}/{key}" for key in of_sensors()]}
    found |= {SENSOR_NAMES: [bucket], OTHER_SENSOR_NAMES: [bucket]}
    return found if name == BUCKET else {**found, "what others keep beside them": [f"{bucket}/elsewhere/object"]}


def _machines(template: Template) -> Kinds:
    found: Kinds = {}
    for machine in DEPLOYED_MACHINES:
        own = template.arn(machine.name)
        found[machine.name] = [own]
        found[f"executions of {machine.name}"] = [execution(own)]
        for _, state in states(machine.definition):
            if "Label" in state:
                items = execution(own).replace(":run", f"/{state['Label']}:item")
                found[f"items of {machine.name}"] = [items]
    others = [arn("states", "stateMachine:elsewhere"), arn("states", "execution:elsewhere:run")]
    return {**found, "other machines and their executions": others}


def _functions(template: Template) -> Kinds:
    arns = {name: template.arn(name) for name in template.of_type("AWS::Lambda::Function")}
    versions = {f"{name} beside its alias": [own, f"{own}:1"] for name, own in arns.items()}
    lives = {name: [f"{own}:live"] for name, own in arns.items()}
    return {**lives, **versions, "other functions": [arn("lambda", "function:elsewhere:live")]}


def _named(template: Template) -> Kinds:
    """Topics, queues and roles."""
    ours = ("AWS::SNS::Topic", "AWS::SQS::Queue", "AWS::IAM::Role")
    return {
        "EndpointRole": [template.parameters["EndpointRoleArn"]],
        **{name: [template.arn(name)] for kind in ours for name in template.of_type(kind)},
        "other topics and queues": [arn("sns", "elsewhere"), arn("sqs", "elsewhere")],
        "other roles": [f"arn:aws:iam::{ACCOUNT}:role/elsewhere"],
    }


def _training(template: Template) -> Kinds:
    """What a training job is, runs and writes."""
    repository = _repository(template, "StageTrainingFunction", "RATCHET_TRAINING_IMAGE")
    logs = arn("logs", "log-group:/aws/sagemaker/TrainingJobs")
    others = ("log-group:/aws/lambda/elsewhere", "log-group:/aws/sagemaker/Endpoints/elsewhere")
    return {
        "training jobs": [arn("sagemaker", f"training-job/{job(pipeline)}") for pipeline in names()],
        "other people's jobs": [arn("sagemaker", "training-job/elsewhere"), arn("sagemaker", "endpoint/mlops-returns")],
        "the training image": [repository],
        "the inference image": [_repository(template, "StageEndpointFunction", "RATCHET_ENDPOINT_IMAGE")],
        "other images": [f"{repository}-elsewhere", arn("ecr", "repository/elsewhere")],
        "the logs of training": [logs, f"{logs}:log-stream:{job('returns')}/algo-1"],
        "other logs": [arn("logs", name) for name in others],
        **{rule: [arn("events", f"rule/{rule}")] for rule in (JOBS_RULE, EXECUTIONS_RULE)},
        "other rules": [arn("events", "rule/elsewhere")],
    }


def _repository(template: Template, function: str, variable: str) -> str:
    """Where an image comes from that a function is told."""
    registry, _, image = template.environment(function)[variable].partition("/")
    return f"arn:aws:ecr:{REGION}:{registry.partition('.')[0]}:repository/{image.partition(':')[0]}"


def _packages(template: Template) -> Kinds:
    """What models are registered in."""
    group = template.environment("RegisterFunction")["RATCHET_PACKAGE_GROUP"]
    others = ("model-package-group/elsewhere", "model-package/elsewhere/1")
    return {
        "the package group": [arn("sagemaker", f"model-package-group/{group}")],
        "packages": [arn("sagemaker", f"model-package/{group}/{number}") for number in (1, 23)],
        "other people's packages": [arn("sagemaker", each) for each in others],
    }


def _hosted() -> Kinds:
    """What endpoints are made of, and write."""
    own = [endpoint_name(STACK, pipeline) for pipeline in names()]
    endpoints = [each for name in own for each in (name, candidate_name(name))]
    configs = [
        config_name(name, "2026-11-21T04-00-00Z", "0" * 64, kind) for name in own for kind in ("serverless", "ml")
    ]
    logs = [arn("logs", f"log-group:/aws/sagemaker/Endpoints/{name}") for name in endpoints]
    others = ("endpoint/elsewhere", "endpoint-config/elsewhere", "model/elsewhere")
    return {
        "endpoints": [arn("sagemaker", f"endpoint/{name}") for name in endpoints],
        "configurations of endpoints": [arn("sagemaker", f"endpoint-config/{name}") for name in configs],
        "models of endpoints": [arn("sagemaker", f"model/{name}") for name in configs],
        "other people's endpoints": [arn("sagemaker", each) for each in others],
        "the logs of endpoints": [each for log in logs for each in (log, f"{log}:log-stream:AllTraffic/i")],
        "alarms of endpoints": [arn("cloudwatch", f"alarm:{STACK}-adclick-endpoint-errors")],
        "other alarms": [arn("cloudwatch", "alarm:elsewhere")],
    }


def _features(template: Template) -> Kinds:
    """The feature group, and where its offline store lies."""
    group = template.environment("WriteFeaturesFunction")["RATCHET_FEATURE_GROUP"]
    store = f"arn:aws:s3:::{BUCKET}/{load('adclick').prefix}feature-store/a/b.parquet"
    return {
        "the feature group": [arn("sagemaker", f"feature-group/{group}")],
        "other feature groups": [arn("sagemaker", "feature-group/elsewhere")],
        "the offline store": [store],
    }


def _secrets(template: Template) -> Kinds:
    stored, parameter = f"secret:{SECRET}", f"parameter{PARAMETER.removeprefix('ssm:')}"
    others = [f"{stored}-other-a1B2c3", "secret:elsewhere-a1B2c3"]
    return {
        # The bare name is what a secret is asked for that is not there.
        "the secret": [arn("secretsmanager", stored), arn("secretsmanager", f"{stored}-a1B2c3")],
        "the parameter": [arn("ssm", parameter)],
        "the secret of links": [template.arn("LinkSecret")],
        "other secrets": [arn("secretsmanager", each) for each in others],
        "other parameters": [arn("ssm", f"{parameter}/other"), arn("ssm", "parameter/elsewhere")],
    }
