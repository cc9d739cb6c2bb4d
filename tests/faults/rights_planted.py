"""Rights too many and too few, planted in the template's resources: what `test_rights.py` must find."""

from collections.abc import Callable
from typing import Any

from tests.faults.rights_granted import listed

Resources = dict[str, Any]


def policies(resources: Resources, name: str) -> list[Any]:
    found: list[Any] = resources[name]["Properties"]["Policies"]
    return found


def statement(resources: Resources, name: str, action: str) -> dict[str, Any]:
    documents = [each for each in policies(resources, name) if "Statement" in each]
    return next(each for document in documents for each in document["Statement"] if action in each["Action"])


def grant(resources: Resources, name: str, policy: str) -> None:
    policies(resources, name).append({"Ref": policy})


def withdraw(resources: Resources, name: str, policy: str) -> None:
    policies(resources, name).remove({"Ref": policy})


def sensor_files(resources: Resources) -> dict[str, Any]:
    reading, _ = resources["SensorFilesReader"]["Properties"]["PolicyDocument"]["Statement"]
    return reading  # type: ignore[no-any-return]


def one_more(resources: Resources, name: str, action: str, more: str) -> None:
    """Lets whoever may do the one action do another on the same."""
    found = statement(resources, name, action)
    found["Action"] = [*listed(found["Action"]), more]


def no_level_below(resources: Resources) -> None:
    allowed, _ = resources["leaseWriter"]["Properties"]["PolicyDocument"]["Statement"]
    allowed["Resource"] = [each for each in allowed["Resource"] if "/*/" not in str(each)]


def no_name(resources: Resources) -> None:
    _, listing = resources["leaseReader"]["Properties"]["PolicyDocument"]["Statement"]
    del listing["Sid"]


def any_alarm(resources: Resources) -> None:
    _, alarms = resources["OutcomesTopicPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    del alarms["Condition"]


PLANTED: list[tuple[Callable[[Resources], Any], str]] = [
    (
        lambda resources: grant(resources, "ScoreFunction", "pointerWriter"),
        "ScoreFunctionRole may, but need not, s3:PutObject on pointer",
    ),
    (
        lambda resources: withdraw(resources, "EvaluateFunction", "championTagger"),
        "EvaluateFunctionRole needs, but may not, s3:PutObjectTagging on holdout",
    ),
    (no_level_below, "TakeLeaseFunctionRole needs, but may not, s3:GetObject on lease"),
    (no_name, "PromoteFunctionRole may, but need not, s3:ListBucket on the names of all other keys"),
    (
        lambda resources: resources["TrainingRole"]["Properties"]["ManagedPolicyArns"].append({"Ref": "bundleReader"}),
        "TrainingRole may, but need not, s3:GetObject on model",
    ),
    (
        lambda resources: statement(resources, "ReleaseMachine", "iam:PassRole").pop("Condition"),
        "ReleaseMachineRole may, but need not, iam:PassRole on TrainingRole",
    ),
    (
        lambda resources: statement(resources, "ReleaseMachine", "sagemaker:AddTags").update(Resource="*"),
        "ReleaseMachineRole may, but need not, sagemaker:CreateTrainingJob on other people's jobs",
    ),
    (
        lambda resources: statement(resources, "returnsMachine", "lambda:InvokeFunction").update(Action="lambda:*"),
        "returnsMachineRole may, but need not, lambda:* on PrepareFunction",
    ),
    (
        lambda resources: sensor_files(resources).update(Action=["s3:GetObject", "s3:PutObject"]),
        "ExtractFunctionRole may, but need not, s3:PutObject on files of sensors",
    ),
    (
        lambda resources: withdraw(resources, "ExtractFunction", "incomingReader"),
        "ExtractFunctionRole needs, but may not, s3:GetObject on files of meters",
    ),
    (
        lambda resources: one_more(
            resources, "CloseApprovalFunction", "sagemaker:UpdateModelPackage", "sagemaker:CreateModelPackage"
        ),
        "CloseApprovalFunctionRole may, but need not, sagemaker:CreateModelPackage on packages",
    ),
    (
        lambda resources: withdraw(resources, "RegisterFunction", "packageWriter"),
        "RegisterFunctionRole needs, but may not, s3:PutObject on package",
    ),
    (
        lambda resources: statement(resources, "RegisterFunction", "sagemaker:CreateModelPackage").update(Resource="*"),
        "RegisterFunctionRole may, but need not, sagemaker:CreateModelPackage on other people's packages",
    ),
    (
        lambda resources: one_more(resources, "RegisterFunction", "states:StartExecution", "states:SendTaskSuccess"),
        "RegisterFunctionRole may, but need not, states:SendTaskSuccess on ApprovalMachine",
    ),
    (
        lambda resources: statement(resources, "AskApprovalFunction", "states:SendTaskSuccess").update(
            Resource={"Fn::GetAtt": ["ApprovalMachine", "Arn"]}
        ),
        "AskApprovalFunctionRole needs, but may not, states:SendTaskSuccess on *",
    ),
    (
        lambda resources: withdraw(resources, "ApprovalPageFunction", "LinkSecretReader"),
        "ApprovalPageFunctionRole needs, but may not, secretsmanager:GetSecretValue on the secret of links",
    ),
    (
        lambda resources: statement(resources, "StageEndpointFunction", "sagemaker:CreateModel").update(Resource="*"),
        "StageEndpointFunctionRole may, but need not, sagemaker:CreateModel on other people's endpoints",
    ),
    (
        lambda resources: statement(resources, "StageEndpointFunction", "iam:PassRole").pop("Condition"),
        "StageEndpointFunctionRole may, but need not, iam:PassRole on EndpointRole",
    ),
    (
        lambda resources: policies(resources, "MoveEndpointFunction").pop(),
        "MoveEndpointFunctionRole needs, but may not, sagemaker:UpdateEndpoint on endpoints",
    ),
    (
        lambda resources: grant(resources, "WriteFeaturesFunction", "datasetsReader"),
        "WriteFeaturesFunctionRole may, but need not, s3:GetObject on files of records",
    ),
    (
        lambda resources: resources["EndpointRole"]["Properties"]["ManagedPolicyArns"].append({"Ref": "trainReader"}),
        "EndpointRole may, but need not, s3:GetObject on train",
    ),
    (
        lambda resources: statement(resources, "ApprovalMachine", "lambda:InvokeFunction")["Resource"].pop(0),
        "ApprovalMachineRole needs, but may not, lambda:InvokeFunction on AskApprovalFunction",
    ),
    (
        lambda resources: resources["ApprovalMachine"].pop("Connectors"),
        "ApprovalMachineRole needs, but may not, states:StartExecution on DeploymentMachine",
    ),
    (
        lambda resources: resources["UploadsRole"]["Properties"].pop("Policies"),
        "UploadsRole needs, but may not, states:StartExecution on IngestMachine",
    ),
    (any_alarm, "services may, but need not, cloudwatch: sns:Publish on OutcomesTopic on other accounts"),
]
