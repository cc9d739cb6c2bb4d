"""A stack that is given what other stacks make for themselves: it works there, and takes nothing of it away."""

import io
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from ratchet.adapters.s3 import S3Store
from ratchet.tabular.feature_group import definitions

from local.deploy import Application, deploy
from local.laptop import PARAMETERS
from local.paths import CHECKOUT, Paths
from tests.clicking import KEYS, SOURCE, impressions
from tests.laptop_target import COMMAND, LaptopTarget, until

STACK, BUCKET, FEATURES, MODELS = "housed", "their-landing", "their-features", "their-models"
FIELDS = [*SOURCE.numbers, *SOURCE.categories]
TRUSTS = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
READS = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/adclick/*"}


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


@dataclass
class Housed:
    """The stack, driven as one of AWS is."""

    laptop: LaptopTarget
    given: dict[str, str]

    def deploy(self) -> None:
        """As `sam deploy` does, of what is built."""
        sam = Paths(self.laptop.home).environment("sam") / "bin" / "sam"
        parameters = {**PARAMETERS, "AllowSynthetic": "false", "EndpointKind": "ml.m5.large", **self.given}
        deploy(Application(CHECKOUT, self.laptop.target.endpoint_url or "", STACK, sam, parameters), lambda line: None)

    def ratchet(self, *arguments: str) -> Any:
        """The document of a command."""
        environment = {**self.laptop.environment, **self.laptop.ratchet("env")}
        command = [str(COMMAND), *arguments, "--target", "aws", "--stack", STACK]
        command += [] if arguments[0] == "invoke" else ["--json"]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)
        assert ran.returncode == 0, f"{ran.stdout} {ran.stderr}"
        return json.loads(ran.stdout)


def made(laptop: LaptopTarget) -> dict[str, str]:
    """Parameters that name a bucket, a key, a feature group, a package group and a role, which somebody else made."""
    s3, iam, sagemaker = (laptop.client(name) for name in ("s3", "iam", "sagemaker"))
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration={"EventBridgeConfiguration": {}})
    role = iam.create_role(RoleName="their-endpoints", AssumeRolePolicyDocument=policy(TRUSTS))["Role"]["Arn"]
    iam.put_role_policy(RoleName="their-endpoints", PolicyName="reads", PolicyDocument=policy(READS))
    features = [{"FeatureName": name, "FeatureType": kind} for name, kind in definitions(SOURCE).items()]
    sagemaker.create_feature_group(
        FeatureGroupName=FEATURES,
        RecordIdentifierFeatureName="record_id",
        EventTimeFeatureName="event_time",
        FeatureDefinitions=features,
        OnlineStoreConfig={"EnableOnlineStore": True},
    )
    sagemaker.create_model_package_group(ModelPackageGroupName=MODELS)
    key = laptop.client("kms").create_key()["KeyMetadata"]["Arn"]
    named = {"LandingBucketName": BUCKET, "KmsKeyArn": key, "EndpointRoleArn": role, "ModelPackageGroupName": MODELS}
    return {**named, "FeatureGroupMode": "existing", "FeatureGroupName": FEATURES}


@pytest.fixture(scope="module")
def housed(laptop: LaptopTarget) -> Housed:
    """The stack, deployed with what is given to it."""
    stack = Housed(laptop, made(laptop))
    stack.deploy()
    return stack


@pytest.fixture(scope="module")
def served(housed: Housed, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Impressions ingested, and a model of them that a person approved."""
    file = Path(tmp_path_factory.mktemp("given"), "clicks.csv")
    file.write_bytes(impressions(21, 3000, 1500))
    ingested = housed.ratchet("ingest", "adclick", "--csv", str(file))
    housed.ratchet("run", "adclick", "--detach")

    def waits() -> str | None:
        (told,) = (each for each in housed.ratchet("status") if each["pipeline"] == "adclick")
        return told["last_run"]["run_ts"] if told["approval"] else None

    run = until(waits, 120)
    return {"ingested": ingested, "run_ts": run, "approved": housed.ratchet("approve", "adclick", run)}


def test_models_wait_serve_and_are_read_where_the_stack_was_told(housed: Housed, served: dict[str, Any]) -> None:
    sagemaker, given = housed.laptop.client("sagemaker"), housed.given
    assert (served["approved"]["outcome"], f"/{MODELS}/" in served["approved"]["package_arn"]) == ("promoted", True)
    (model,) = (each["ModelName"] for each in sagemaker.list_models(NameContains=STACK)["Models"])
    told = sagemaker.describe_model(ModelName=model)
    assert told["ExecutionRoleArn"] == given["EndpointRoleArn"]
    assert told["PrimaryContainer"]["ModelDataUrl"].startswith(f"s3://{BUCKET}/adclick/model/")
    # A model and its configuration have one name.
    config = sagemaker.describe_endpoint_config(EndpointConfigName=model)
    assert (config["KmsKeyId"], config["ProductionVariants"][0]["InstanceType"]) == (given["KmsKeyArn"], "ml.m5.large")
    (answer,) = housed.ratchet("invoke", "adclick", "--json", json.dumps(dict.fromkeys(FIELDS)))["predictions"]
    assert (answer["model_run_ts"], 0 < answer["probability"] < 1) == (served["run_ts"], True)


def test_records_are_in_the_feature_group_that_was_there(housed: Housed, served: dict[str, Any]) -> None:
    told = served["ingested"]
    assert (told["feature_group"], told["written"]) == (FEATURES, told["records"])
    stored = S3Store(BUCKET, housed.laptop.client("s3")).get(KEYS.part("records", told["part"]))
    assert stored is not None
    row = pq.read_table(io.BytesIO(stored.body)).to_pylist()[-1]
    runtime = housed.laptop.client("sagemaker-featurestore-runtime")
    found = runtime.get_record(FeatureGroupName=FEATURES, RecordIdentifierValueAsString=row["record_id"])["Record"]
    assert {each["FeatureName"]: each["ValueAsString"] for each in found}["id"] == row["group"]


def test_a_second_deployment_changes_nothing(housed: Housed, served: dict[str, Any]) -> None:
    formation = housed.laptop.client("cloudformation")
    (latest, *_) = formation.describe_stack_events(StackName=STACK)["StackEvents"]
    housed.deploy()
    assert formation.describe_stack_events(StackName=STACK)["StackEvents"][0] == latest


def test_what_was_given_stays_when_the_stack_goes(housed: Housed, served: dict[str, Any]) -> None:
    told = housed.ratchet("destroy", "--yes")
    assert {f"endpoint {STACK}-adclick", f"1 model packages of the group {MODELS}"} < set(told["removed"])
    kept = " ".join(told["kept"])
    assert [name for name, value in housed.given.items() if value not in kept] == ["FeatureGroupMode"]
    sagemaker = housed.laptop.client("sagemaker")
    assert not sagemaker.list_endpoints(NameContains=STACK)["Endpoints"]
    assert not sagemaker.list_model_packages(ModelPackageGroupName=MODELS)["ModelPackageSummaryList"]
    assert sagemaker.describe_feature_group(FeatureGroupName=FEATURES)["FeatureGroupStatus"] == "Created"
    assert S3Store(BUCKET, housed.laptop.client("s3")).head(KEYS.pointer())
