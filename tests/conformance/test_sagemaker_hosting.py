"""The emulator's endpoints: a bundle's own code in a process, its states and errors; and nothing is left behind."""

import gzip
import io
import json
import signal
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError

from tests.checked import Checked, acting_as, refused, role, until, unvalidated
from tests.emulated import Emulator

BUCKET = "hosting"
PREFIX = "arn:aws:sagemaker:us-east-1:000000000000"
INSTANCES = {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
SERVERLESS = {"ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5}}
# The model is a number by which requests are multiplied; a request that is a word asks for something else.
CODE = """
import json, os, time
from pathlib import Path

def model_fn(model_dir):
    return float((Path(model_dir) / "factor.txt").read_text())

def input_fn(body, content_type):
    if content_type != "application/json":
        error = ValueError(f"{content_type} is not taken")
        error.status_code = 415
        raise error
    return json.loads(body)

def predict_fn(data, model):
    if data == "environment":
        return dict(os.environ)
    if data == "pid":
        return os.getpid()
    if data == "exit":
        os._exit(3)
    if data == "break":
        raise KeyError("a bug")
    if not isinstance(data, (int, float)):
        error = ValueError(f"{data!r} is no number")
        error.status_code = 400
        raise error
    return data * model

def output_fn(prediction, accept):
    return json.dumps({"said": prediction}), accept
"""
SLOW = CODE.replace("import json, os, time", "import json, os, time; time.sleep(2)")
CALLER = "what is the caller's fault says so"


def bundle(factor: str = "2", **files: bytes | str) -> bytes:
    """A model.tar.gz; in the names of further files `__` stands for a dot and `_in_` for a slash."""
    told = {"factor__txt": factor, "code_in_inference__py": CODE, **files}
    content = io.BytesIO()
    with gzip.GzipFile(fileobj=content, mode="wb") as packed, tarfile.open(fileobj=packed, mode="w") as archive:
        for name, text in told.items():
            data = text.encode() if isinstance(text, str) else text
            member = tarfile.TarInfo(name.replace("_in_", "/").replace("__", "."))
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return content.getvalue()


class Hosting:
    """Models, configurations and endpoints on one emulator."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.api = Checked(emulator.client("sagemaker"))
        self.runtime = Checked(emulator.client("sagemaker-runtime"))
        self.s3 = emulator.client("s3")
        self.s3.create_bucket(Bucket=BUCKET)
        reads = ("s3:GetObject", f"arn:aws:s3:::{BUCKET}/models/*")
        self.role = role(emulator, "hosting", "sagemaker.amazonaws.com", reads)

    def model(self, name: str, archive: bytes | None = None, key: str = "", **more: Any) -> str:
        key = key or f"models/{name}/model.tar.gz"
        if archive is not None:
            self.s3.put_object(Bucket=BUCKET, Key=key, Body=archive)
        container = {"Image": "image", "ModelDataUrl": f"s3://{BUCKET}/{key}", **more}
        self.api.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=self.role)
        return name

    def config(self, name: str, archive: bytes | None, size: dict[str, Any] = SERVERLESS, **more: Any) -> str:
        """A configuration of a new model of the same name."""
        variant = {"VariantName": "AllTraffic", "ModelName": self.model(name, archive, **more), **size}
        self.api.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        return name

    def endpoint(self, name: str, archive: bytes | None = None, **more: Any) -> str:
        """An endpoint that is in service."""
        self.api.create_endpoint(EndpointName=name, EndpointConfigName=self.config(name, archive or bundle(), **more))
        assert self.settled(name)["EndpointStatus"] == "InService", self.described(name)
        return name

    def described(self, name: str) -> dict[str, Any]:
        return dict(self.api.describe_endpoint(EndpointName=name))

    def settled(self, name: str) -> dict[str, Any]:
        until(lambda: self.described(name)["EndpointStatus"] in ("InService", "Failed"))
        return self.described(name)

    def ask(self, name: str, what: Any, **more: Any) -> Any:
        given = {"ContentType": "application/json", "Accept": "application/json", **more}
        told = self.runtime.invoke_endpoint(EndpointName=name, Body=json.dumps(what).encode(), **given)
        return json.loads(told["Body"])["said"]


@pytest.fixture(scope="module")
def hosting(emulator: Emulator) -> Hosting:
    return Hosting(emulator)


@pytest.fixture(scope="module")
def doubles(hosting: Hosting) -> Iterator[str]:
    yield hosting.endpoint("doubles", bundle("2"))
    hosting.api.delete_endpoint(EndpointName="doubles")


def test_an_endpoint_comes_into_service_and_answers_with_the_bundles_own_code(hosting: Hosting) -> None:
    told = hosting.api.create_endpoint(EndpointName="young", EndpointConfigName=hosting.config("young", bundle("3")))
    assert told["EndpointArn"] == f"{PREFIX}:endpoint/young"
    assert hosting.described("young")["EndpointStatus"] == "Creating"
    with pytest.raises(ClientError, match="Endpoint young of account 000000000000 not found"):
        hosting.ask("young", 1)
    shown = hosting.settled("young")
    assert (shown["EndpointStatus"], shown["EndpointConfigName"]) == ("InService", "young")
    (variant,) = shown["ProductionVariants"]
    assert variant["CurrentServerlessConfig"] == SERVERLESS["ServerlessConfig"]
    assert hosting.ask("young", 7) == 21
    hosting.api.delete_endpoint(EndpointName="young")


def test_an_answer_names_its_type_and_variant(hosting: Hosting, doubles: str) -> None:
    given = {"EndpointName": doubles, "Body": b"4", "ContentType": "application/json", "Accept": "text/x-said"}
    told = hosting.runtime.invoke_endpoint(**given)
    assert told == {
        "Body": b'{"said": 8.0}',
        "ContentType": "text/x-said",
        "InvokedProductionVariant": "AllTraffic",
    }


def test_an_accept_of_anything_is_answered_in_json(hosting: Hosting, doubles: str) -> None:
    for accept in ({}, {"Accept": "*/*"}):
        told = hosting.runtime.invoke_endpoint(
            EndpointName=doubles, Body=b"4", ContentType="application/json", **accept
        )
        assert told["ContentType"] == "application/json"


@pytest.mark.parametrize(
    ("body", "content_type", "status", "says"),
    [
        pytest.param(b'"four"', "application/json", 400, "'four' is no number", id=CALLER),
        pytest.param(b"{", "application/json", 500, "Expecting", id="no JSON"),
        pytest.param(b"4", "text/csv", 415, "text/csv is not taken", id="an error's own status"),
        pytest.param(b'"break"', "application/json", 500, "a bug", id="another exception is the model's fault"),
    ],
)
def test_what_the_code_raises_is_a_model_error_with_its_words(
    hosting: Hosting, doubles: str, body: bytes, content_type: str, status: int, says: str
) -> None:
    with pytest.raises(ClientError) as caught:
        hosting.runtime.invoke_endpoint(EndpointName=doubles, Body=body, ContentType=content_type)
    told = caught.value.response
    assert (told["Error"]["Code"], told["ResponseMetadata"]["HTTPStatusCode"]) == ("ModelError", 424)
    assert told["OriginalStatusCode"] == status
    assert says in told["OriginalMessage"]
    assert hosting.ask(doubles, 1) == 2


def test_an_endpoint_that_is_not_there_is_not_found(hosting: Hosting) -> None:
    with pytest.raises(ClientError, match="Endpoint nobody of account"):
        hosting.ask("nobody", 1)
    for call in (hosting.api.describe_endpoint, hosting.api.delete_endpoint):
        code, message, _ = refused(call, EndpointName="nobody")
        assert (code, message) == ("ValidationException", f'Could not find endpoint "{PREFIX}:endpoint/nobody".')


def test_a_process_that_ends_is_started_again_by_the_next_request(hosting: Hosting) -> None:
    name = hosting.endpoint("restarts")
    first = hosting.ask(name, "pid")
    with pytest.raises(ClientError, match="ModelError"):
        hosting.ask(name, "exit")
    assert hosting.ask(name, 1) == 2
    assert hosting.ask(name, "pid") != first
    hosting.api.delete_endpoint(EndpointName=name)


def test_the_code_sees_its_models_environment_and_not_the_hosts(hosting: Hosting) -> None:
    name = hosting.endpoint("environment", Environment={"SAGEMAKER_PROGRAM": "inference.py", "OWN": "value"})
    seen = hosting.ask(name, "environment")
    assert seen["OWN"] == "value"
    assert "HOST_SECRET" not in seen
    assert not seen["HOME"].startswith(str(Path.home()))
    hosting.api.delete_endpoint(EndpointName=name)


def failing(hosting: Hosting, name: str, archive: bytes | None, **more: Any) -> str:
    """Why an endpoint of this bundle fails."""
    hosting.api.create_endpoint(EndpointName=name, EndpointConfigName=hosting.config(name, archive, **more))
    told = hosting.settled(name)
    hosting.api.delete_endpoint(EndpointName=name)
    assert told["EndpointStatus"] == "Failed"
    return str(told["FailureReason"])


@pytest.mark.parametrize(
    ("files", "says"),
    [
        pytest.param({"factor__txt": "many"}, "ValueError: could not convert", id="a model that does not load"),
        pytest.param({"code_in_inference__py": "def input_fn(b, t): pass"}, "lacks model_fn", id="no functions"),
        pytest.param({"code_in_inference__py": "import nowhere"}, "No module named 'nowhere'", id="no module"),
        pytest.param({"__/evil__py": "x"}, "outside the destination", id="a path that leaves its folder"),
        pytest.param(
            {"code_in_requirements__txt": "nowhere==1.0"},
            "the laptop target installs nothing",
            id="something to be installed",
        ),
    ],
)
def test_a_bundle_that_does_not_come_up_fails_its_endpoint_with_the_reason(
    hosting: Hosting, files: dict[str, str], says: str, request: pytest.FixtureRequest
) -> None:
    name = f"fails-{abs(hash(request.node.callspec.id)) % 10**6}"
    files = {key.replace("__/", "../"): value for key, value in files.items()}
    archive = bundle(**{"factor": files.pop("factor__txt", "2"), **files})
    reason = failing(hosting, name, archive)
    assert "did not pass the ping health check" in reason
    assert says in reason


def test_a_program_that_is_missing_is_named(hosting: Hosting) -> None:
    reason = failing(hosting, "no-program", bundle(), Environment={"SAGEMAKER_PROGRAM": "other.py"})
    assert "The bundle has no code/other.py." in reason


def test_code_from_elsewhere_is_refused(hosting: Hosting) -> None:
    reason = failing(hosting, "elsewhere", bundle(), Environment={"SAGEMAKER_SUBMIT_DIRECTORY": "s3://code/x.tar.gz"})
    assert "SAGEMAKER_SUBMIT_DIRECTORY must be /opt/ml/model/code" in reason


def test_a_role_that_may_not_read_the_model_fails_the_endpoint(hosting: Hosting) -> None:
    reason = failing(hosting, "unread", bundle(), key="secret/model.tar.gz")
    assert "Could not access model data at s3://hosting/secret/model.tar.gz" in reason
    assert "AccessDenied" in reason


def test_an_update_serves_the_old_model_until_the_new_one_is_healthy(hosting: Hosting) -> None:
    name = hosting.endpoint("updated", bundle("2"))
    old = hosting.ask(name, "pid")
    slow = bundle("5", code_in_inference__py=SLOW)
    config = hosting.config("updated-2", slow)
    hosting.api.update_endpoint(EndpointName=name, EndpointConfigName=config)
    told = hosting.described(name)
    assert (told["EndpointStatus"], told["EndpointConfigName"]) == ("Updating", name)
    assert told["PendingDeploymentSummary"]["EndpointConfigName"] == config
    assert hosting.ask(name, 1) == 2
    told = hosting.settled(name)
    assert (told["EndpointStatus"], told["EndpointConfigName"]) == ("InService", config)
    assert "PendingDeploymentSummary" not in told
    assert hosting.ask(name, 1) == 5
    until(lambda: not Path(f"/proc/{old}").exists())
    hosting.api.delete_endpoint(EndpointName=name)


def test_an_update_that_does_not_come_up_keeps_the_old_model_and_says_why(hosting: Hosting) -> None:
    name = hosting.endpoint("kept", bundle("2"))
    hosting.api.update_endpoint(EndpointName=name, EndpointConfigName=hosting.config("kept-2", bundle("many")))
    told = hosting.settled(name)
    assert (told["EndpointStatus"], told["EndpointConfigName"]) == ("InService", name)
    assert "could not convert" in told["FailureReason"]
    assert hosting.ask(name, 1) == 2
    hosting.api.update_endpoint(EndpointName=name, EndpointConfigName=hosting.config("kept-3", bundle("3")))
    assert "FailureReason" not in hosting.settled(name)
    assert hosting.ask(name, 1) == 3
    hosting.api.delete_endpoint(EndpointName=name)


def test_an_endpoint_goes_from_instances_to_serverless_but_not_back(hosting: Hosting) -> None:
    name = hosting.endpoint("kinds", size=INSTANCES)
    (variant,) = hosting.described(name)["ProductionVariants"]
    assert variant["CurrentInstanceCount"] == 1
    hosting.api.update_endpoint(EndpointName=name, EndpointConfigName=hosting.config("kinds-2", bundle("3")))
    assert hosting.settled(name)["EndpointConfigName"] == "kinds-2"
    code, message, _ = refused(hosting.api.update_endpoint, EndpointName=name, EndpointConfigName="kinds")
    assert (code, "serverless" in message) == ("ValidationException", True)
    assert hosting.described(name)["EndpointStatus"] == "InService"
    hosting.api.delete_endpoint(EndpointName=name)


def test_a_blue_green_deployment_is_taken_and_shown(hosting: Hosting) -> None:
    name = hosting.endpoint("blue-green", size=INSTANCES)
    routing = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 300}
    policy = {"TrafficRoutingConfiguration": routing, "TerminationWaitInSeconds": 300}
    alarms = {"Alarms": [{"AlarmName": "errors"}]}
    deployment = {"BlueGreenUpdatePolicy": policy, "AutoRollbackConfiguration": alarms}
    config = hosting.config("blue-green-2", bundle("3"), size=INSTANCES)
    hosting.api.update_endpoint(EndpointName=name, EndpointConfigName=config, DeploymentConfig=deployment)
    assert hosting.settled(name)["LastDeploymentConfig"] == deployment
    hosting.api.delete_endpoint(EndpointName=name)


def test_an_endpoint_in_the_middle_of_something_takes_no_further_change(hosting: Hosting) -> None:
    slow = bundle(code_in_inference__py=SLOW)
    config = hosting.config("busy", slow)
    hosting.api.create_endpoint(EndpointName="busy", EndpointConfigName=config)
    for call, more in (("update_endpoint", {"EndpointConfigName": config}), ("delete_endpoint", {})):
        code, message, _ = refused(getattr(hosting.api, call), EndpointName="busy", **more)
        assert (code, "Cannot update in-progress endpoint" in message) == ("ValidationException", True)
    assert hosting.settled("busy")["EndpointStatus"] == "InService"
    hosting.api.delete_endpoint(EndpointName="busy")


def test_a_failed_endpoint_can_only_be_deleted(hosting: Hosting) -> None:
    config = hosting.config("broken", bundle("many"))
    hosting.api.create_endpoint(EndpointName="broken", EndpointConfigName=config)
    assert hosting.settled("broken")["EndpointStatus"] == "Failed"
    code, message, _ = refused(hosting.api.update_endpoint, EndpointName="broken", EndpointConfigName=config)
    assert (code, "delete it" in message) == ("ValidationException", True)
    hosting.api.delete_endpoint(EndpointName="broken")


def test_a_deleted_endpoint_is_gone_with_its_process_and_its_name_is_free(hosting: Hosting) -> None:
    name = hosting.endpoint("gone")
    pid = hosting.ask(name, "pid")
    hosting.api.delete_endpoint(EndpointName=name)
    until(lambda: not hosting.api.list_endpoints(NameContains=name)["Endpoints"])
    until(lambda: not Path(f"/proc/{pid}").exists())
    hosting.api.create_endpoint(EndpointName=name, EndpointConfigName=name)
    assert hosting.settled(name)["EndpointStatus"] == "InService"
    hosting.api.delete_endpoint(EndpointName=name)


def test_an_endpoint_outlives_the_model_and_configuration_it_was_made_of(hosting: Hosting) -> None:
    name = hosting.endpoint("outlives")
    hosting.api.delete_endpoint_config(EndpointConfigName=name)
    hosting.api.delete_model(ModelName=name)
    assert hosting.ask(name, 1) == 2
    hosting.api.delete_endpoint(EndpointName=name)


def test_models_and_configurations_are_described_listed_and_deleted(hosting: Hosting) -> None:
    hosting.config("listed", bundle())
    shown = hosting.api.describe_model(ModelName="listed")
    assert (shown["ModelArn"], shown["ExecutionRoleArn"]) == (f"{PREFIX}:model/listed", hosting.role)
    config = hosting.api.describe_endpoint_config(EndpointConfigName="listed")
    assert config["ProductionVariants"][0]["ServerlessConfig"] == SERVERLESS["ServerlessConfig"]
    (model,) = hosting.api.list_models(NameContains="listed")["Models"]
    (listed,) = hosting.api.list_endpoint_configs(NameContains="listed")["EndpointConfigs"]
    assert (model["ModelArn"], listed["EndpointConfigArn"]) == (shown["ModelArn"], config["EndpointConfigArn"])
    hosting.api.delete_endpoint_config(EndpointConfigName="listed")
    hosting.api.delete_model(ModelName="listed")
    for call, name in (("describe_model", "ModelName"), ("describe_endpoint_config", "EndpointConfigName")):
        code, message, _ = refused(getattr(hosting.api, call), **{name: "listed"})
        assert (code, "Could not find" in message) == ("ValidationException", True)


def test_names_are_given_once(hosting: Hosting, doubles: str) -> None:
    container = {"Image": "image", "ModelDataUrl": "s3://b/k"}
    variant = {"VariantName": "AllTraffic", "ModelName": doubles, **SERVERLESS}
    calls: dict[str, dict[str, Any]] = {
        "create_model": {"ModelName": doubles, "PrimaryContainer": container, "ExecutionRoleArn": hosting.role},
        "create_endpoint_config": {"EndpointConfigName": doubles, "ProductionVariants": [variant]},
        "create_endpoint": {"EndpointName": doubles, "EndpointConfigName": doubles},
    }
    for call, given in calls.items():
        code, message, _ = refused(getattr(hosting.api, call), **given)
        assert (code, "Cannot create already existing" in message) == ("ValidationException", True)


def test_endpoints_are_listed_by_status(hosting: Hosting, doubles: str) -> None:
    def names(status: str) -> list[str]:
        return [each["EndpointName"] for each in hosting.api.list_endpoints(StatusEquals=status)["Endpoints"]]

    assert doubles in names("InService")
    assert doubles not in names("Failed")


def test_tags_are_kept_on_all_three(hosting: Hosting) -> None:
    tags = [{"Key": "ratchet:stack", "Value": "mine"}]
    container = {"Image": "image", "ModelDataUrl": f"s3://{BUCKET}/models/none"}
    given = {"PrimaryContainer": container, "ExecutionRoleArn": hosting.role, "Tags": tags}
    hosting.api.create_model(ModelName="tagged", **given)
    variant = {"VariantName": "AllTraffic", "ModelName": "tagged", **SERVERLESS}
    hosting.api.create_endpoint_config(EndpointConfigName="tagged", ProductionVariants=[variant], Tags=tags)
    hosting.api.create_endpoint(EndpointName="tagged", EndpointConfigName="tagged", Tags=tags)
    for kind in ("model", "endpoint-config", "endpoint"):
        assert hosting.api.list_tags(ResourceArn=f"{PREFIX}:{kind}/tagged")["Tags"] == tags
    more = [{"Key": "more", "Value": "1"}]
    assert hosting.api.add_tags(ResourceArn=f"{PREFIX}:model/tagged", Tags=more)["Tags"] == [*tags, *more]
    assert refused(hosting.api.list_tags, ResourceArn=f"{PREFIX}:model/nobody")[0] == "ValidationException"
    hosting.settled("tagged")
    hosting.api.delete_endpoint(EndpointName="tagged")


@pytest.mark.parametrize(
    ("variant", "says"),
    [
        pytest.param({**SERVERLESS, "ModelName": "nobody"}, "Could not find model", id="no model"),
        pytest.param({}, "needs InstanceType and InitialInstanceCount", id="no size"),
        pytest.param({**SERVERLESS, **INSTANCES}, "either ServerlessConfig or", id="two sizes"),
        pytest.param({"ServerlessConfig": {"MemorySizeInMB": 2000, "MaxConcurrency": 5}}, "multiple", id="odd memory"),
        pytest.param(
            {"ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 500}}, "at most 200", id="too concurrent"
        ),
        pytest.param({**INSTANCES, "InstanceType": "ml.huge"}, "InstanceType must be one of", id="no such instance"),
    ],
)
def test_a_wrong_variant_is_refused(hosting: Hosting, doubles: str, variant: dict[str, Any], says: str) -> None:
    given = {"VariantName": "AllTraffic", "ModelName": doubles, **variant}
    request = {"EndpointConfigName": "wrong", "ProductionVariants": [given]}
    code, message, status = refused(hosting.api.create_endpoint_config, **request)
    assert (code, status) == ("ValidationException", 400)
    assert says in message


def test_a_serverless_variant_knows_no_network_isolation(hosting: Hosting) -> None:
    container = {"Image": "image", "ModelDataUrl": f"s3://{BUCKET}/models/none"}
    given = {"PrimaryContainer": container, "ExecutionRoleArn": hosting.role, "EnableNetworkIsolation": True}
    hosting.api.create_model(ModelName="isolated", **given)
    variant = {"VariantName": "AllTraffic", "ModelName": "isolated", **SERVERLESS}
    request = {"EndpointConfigName": "isolated", "ProductionVariants": [variant]}
    assert "network isolation" in refused(hosting.api.create_endpoint_config, **request)[1]


@pytest.mark.parametrize(
    ("call", "request_", "names"),
    [
        ("create_model", {"ModelName": "m", "Containers": [{"Image": "i"}]}, "Containers of CreateModel"),
        ("list_models", {"CreationTimeAfter": 1}, "CreationTimeAfter of ListModels"),
        ("create_model_card", {"ModelCardName": "c", "Content": "{}", "ModelCardStatus": "Draft"}, "CreateModelCard"),
    ],
)
def test_what_is_not_built_is_refused_by_name(
    hosting: Hosting, call: str, request_: dict[str, Any], names: str
) -> None:
    code, message, _ = refused(getattr(hosting.api, call), **request_)
    assert code == "ValidationException"
    assert message == f"{names} is not implemented by the laptop target's SageMaker."


def test_streaming_is_refused_by_name(hosting: Hosting, doubles: str) -> None:
    call = hosting.emulator.client("sagemaker-runtime").invoke_endpoint_with_response_stream
    assert "InvokeEndpointWithResponseStream is not" in refused(call, EndpointName=doubles, Body=b"1")[1]


REQUIRED = {
    "ModelName": ("CreateModel", "DescribeModel", "DeleteModel"),
    "EndpointConfigName": ("CreateEndpointConfig", "DescribeEndpointConfig", "DeleteEndpointConfig"),
    "EndpointName": ("CreateEndpoint", "DescribeEndpoint", "UpdateEndpoint", "DeleteEndpoint"),
    "ResourceArn": ("AddTags", "ListTags"),
}


@pytest.mark.parametrize(("call", "lacks"), [(call, name) for name, calls in REQUIRED.items() for call in calls])
def test_a_request_without_what_it_needs_is_refused(hosting: Hosting, call: str, lacks: str) -> None:
    code, message, _ = refused(getattr(unvalidated(hosting.emulator, "sagemaker"), xform_name(call)))
    assert code == "ValidationException"
    assert f'Missing required parameter in input: "{lacks}"' in message


def as_role(hosting: Hosting, service: str, name: str, *grants: tuple[Any, Any]) -> Any:
    arn = role(hosting.emulator, f"hosting-{name}", "lambda.amazonaws.com", *grants)
    return hosting.emulator.client(service, **acting_as(hosting.emulator, arn))


def test_a_role_invokes_only_the_endpoint_it_is_granted(hosting: Hosting, doubles: str) -> None:
    grant = ("sagemaker:InvokeEndpoint", f"{PREFIX}:endpoint/{doubles}")
    runtime = as_role(hosting, "sagemaker-runtime", "invokes", grant)
    runtime.invoke_endpoint(EndpointName=doubles, Body=b"1", ContentType="application/json")
    with pytest.raises(ClientError, match="sagemaker:InvokeEndpoint"):
        runtime.invoke_endpoint(EndpointName="other", Body=b"1", ContentType="application/json")


def test_who_makes_a_model_must_be_allowed_to_pass_its_role(hosting: Hosting) -> None:
    client = as_role(hosting, "sagemaker", "models", ("sagemaker:CreateModel", f"{PREFIX}:model/*"))
    container = {"Image": "image", "ModelDataUrl": "s3://b/k"}
    given = {"ModelName": "passed", "PrimaryContainer": container, "ExecutionRoleArn": hosting.role}
    with pytest.raises(ClientError, match="iam:PassRole"):
        client.create_model(**given)


def test_who_makes_an_endpoint_needs_its_configuration_too(hosting: Hosting, doubles: str) -> None:
    client = as_role(hosting, "sagemaker", "endpoints", ("sagemaker:CreateEndpoint", f"{PREFIX}:endpoint/*"))
    with pytest.raises(ClientError, match=f"endpoint-config/{doubles}"):
        client.create_endpoint(EndpointName="granted", EndpointConfigName=doubles)


def test_lists_need_a_grant_on_everything(hosting: Hosting) -> None:
    some = as_role(hosting, "sagemaker", "lists-some", ("sagemaker:ListEndpoints", f"{PREFIX}:endpoint/*"))
    with pytest.raises(ClientError, match="sagemaker:ListEndpoints"):
        some.list_endpoints()
    assert "Endpoints" in as_role(hosting, "sagemaker", "lists", ("sagemaker:ListEndpoints", "*")).list_endpoints()


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL])
def test_an_endpoint_leaves_no_process_when_the_emulator_ends(
    by: signal.Signals, emulator: Emulator, tmp_path: Path
) -> None:
    other = Emulator(emulator.environments, tmp_path / "emulator").start()
    hosting = Hosting(other)
    pid = hosting.ask(hosting.endpoint("ended"), "pid")
    other.stop(by)
    until(lambda: not Path(f"/proc/{pid}").exists())


def test_an_endpoint_answers_again_after_a_restart(emulator: Emulator, tmp_path: Path) -> None:
    other = Emulator(emulator.environments, tmp_path / "emulator").start()
    hosting = Hosting(other)
    name = hosting.endpoint("kept", bundle("2"))
    other.stop()
    other.start()
    try:
        assert hosting.described(name)["EndpointStatus"] == "InService"
        assert hosting.ask(name, 1) == 2
    finally:
        other.stop()
