"""Feature groups of the emulator: what their stores keep, where their files lie, what they refuse and to whom."""

import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore import xform_name
from botocore.exceptions import ClientError

from local.deploy import build_and_deploy
from tests.checked import Checked, acting_as, refused, role, until, unvalidated
from tests.emulated import Emulator

BUCKET = "features"
FEATURES = {"user": "String", "at": "String", "clicks": "Integral", "share": "Fractional", "device": "String"}
OFFLINE = {"S3StorageConfig": {"S3Uri": f"s3://{BUCKET}/store"}}
RESERVED = [{"FeatureName": name, "FeatureType": "String"} for name in ("user", "at", "Write_Time")]
NOON = "2026-11-21T12:00:00Z"


class Features:
    """Feature groups, their records and files, on one emulator."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.api = Checked(emulator.client("sagemaker"))
        self.runtime = Checked(emulator.client("sagemaker-featurestore-runtime"))
        self.s3 = emulator.client("s3")
        self.s3.create_bucket(Bucket=BUCKET)
        self.role = role(
            emulator, "feature-store", "sagemaker.amazonaws.com", ("s3:PutObject", f"arn:aws:s3:::{BUCKET}/store/*")
        )

    def request(self, name: str, **more: Any) -> dict[str, Any]:
        return {
            "FeatureGroupName": name,
            "RecordIdentifierFeatureName": "user",
            "EventTimeFeatureName": "at",
            "FeatureDefinitions": [{"FeatureName": key, "FeatureType": kind} for key, kind in FEATURES.items()],
            "OnlineStoreConfig": {"EnableOnlineStore": True},
            "OfflineStoreConfig": {**OFFLINE, "DisableGlueTableCreation": True},
            "RoleArn": self.role,
            **more,
        }

    def created(self, name: str, **more: Any) -> str:
        request = {key: value for key, value in self.request(name, **more).items() if value is not None}
        self.api.create_feature_group(**request)
        until(lambda: self.described(name)["FeatureGroupStatus"] == "Created")
        return name

    def described(self, name: str) -> dict[str, Any]:
        return dict(self.api.describe_feature_group(FeatureGroupName=name))

    def put(self, name: str, at: str = NOON, **values: Any) -> None:
        values = {"user": "u1", "at": at, **values}
        record = [{"FeatureName": key, "ValueAsString": str(value)} for key, value in values.items()]
        self.runtime.put_record(FeatureGroupName=name, Record=record)

    def get(self, name: str, user: str = "u1", **more: Any) -> dict[str, str]:
        told = self.runtime.get_record(FeatureGroupName=name, RecordIdentifierValueAsString=user, **more)
        return {each["FeatureName"]: each["ValueAsString"] for each in told.get("Record", [])}

    def delete(self, name: str, at: str, **more: Any) -> None:
        request = {"FeatureGroupName": name, "RecordIdentifierValueAsString": "u1", "EventTime": at}
        self.runtime.delete_record(**request, **more)

    def files(self, name: str) -> dict[str, pa.Table]:
        """The group's files by their keys relative to its data."""
        where = self.described(name)["OfflineStoreConfig"]["S3StorageConfig"]["ResolvedOutputS3Uri"]
        prefix = f"{where.removeprefix(f's3://{BUCKET}/')}/"
        keys = [one["Key"] for one in self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])]
        bodies = {key: self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}
        return {key.removeprefix(prefix): pq.read_table(io.BytesIO(body)) for key, body in bodies.items()}


@pytest.fixture(scope="module")
def features(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Features]:
    """On an emulator of its own, whose offline store hardly lags."""
    state = tmp_path_factory.mktemp("features") / "emulator"
    started = Emulator(emulator.environments, state, RATCHET_OFFLINE_STORE_SECONDS="0.5").start()
    yield Features(started)
    started.stop()


@pytest.fixture(scope="module")
def group(features: Features) -> str:
    return features.created("clicks", Tags=[{"Key": "team", "Value": "ads"}])


def test_a_group_is_described_as_it_was_made(features: Features, group: str) -> None:
    told = features.described(group)
    asked = features.request(group)
    assert told["FeatureGroupArn"] == f"arn:aws:sagemaker:us-east-1:000000000000:feature-group/{group}"
    assert told["FeatureDefinitions"] == asked["FeatureDefinitions"]
    assert (told["RoleArn"], told["OnlineStoreConfig"]) == (features.role, {"EnableOnlineStore": True})
    assert told["OfflineStoreStatus"] == {"Status": "Active"}
    tags = features.api.list_tags(ResourceArn=told["FeatureGroupArn"])["Tags"]
    assert tags == [{"Key": "team", "Value": "ads"}]


def test_files_will_lie_where_aws_puts_them(features: Features, group: str) -> None:
    told = features.described(group)
    where = told["OfflineStoreConfig"]["S3StorageConfig"]["ResolvedOutputS3Uri"]
    epoch = int(told["CreationTime"].timestamp())
    assert where == f"s3://{BUCKET}/store/000000000000/sagemaker/us-east-1/offline-store/{group}-{epoch}/data"


def test_a_group_takes_no_records_while_it_is_being_made(features: Features) -> None:
    features.api.create_feature_group(**features.request("young"))
    assert features.described("young")["FeatureGroupStatus"] == "Creating"
    with pytest.raises(ClientError, match="Created yet"):
        features.put("young")


def test_a_name_is_given_once(features: Features, group: str) -> None:
    code, message, _ = refused(features.api.create_feature_group, **features.request(group))
    assert (code, "already exists" in message) == ("ResourceInUse", True)


@pytest.mark.parametrize("call", ["describe_feature_group", "delete_feature_group"])
def test_a_group_that_is_not_there_is_not_found(features: Features, call: str) -> None:
    assert refused(getattr(features.api, call), FeatureGroupName="nobody")[0] == "ResourceNotFound"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param({"RecordIdentifierFeatureName": "id"}, "id is not among", id="an identifier that is no feature"),
        pytest.param({"EventTimeFeatureName": "clicks"}, "must be String", id="an event time in integers"),
        pytest.param({"FeatureGroupName": "under_"}, "FeatureGroupName must match", id="a bad name"),
        pytest.param({"FeatureDefinitions": RESERVED}, "reserved", id="a feature that Feature Store adds"),
        pytest.param({"OnlineStoreConfig": {}, "OfflineStoreConfig": None}, "needs an online store", id="no store"),
        pytest.param({"RoleArn": None}, "RoleArn is required", id="no role for the offline store"),
        pytest.param({"OfflineStoreConfig": {**OFFLINE, "TableFormat": "Iceberg"}}, "Iceberg", id="Iceberg"),
        pytest.param(
            {"OnlineStoreConfig": {"EnableOnlineStore": True, "StorageType": "InMemory"}}, "InMemory", id="in memory"
        ),
    ],
)
def test_a_wrong_group_is_refused(features: Features, change: dict[str, Any], says: str) -> None:
    request = {key: value for key, value in {**features.request("wrong"), **change}.items() if value is not None}
    code, message, status = refused(features.api.create_feature_group, **request)
    assert (code, status) == ("ValidationException", 400)
    assert says in message


def test_a_record_comes_back_as_text_without_what_it_lacks(features: Features, group: str) -> None:
    features.put(group, clicks=3, share="0.50")
    assert features.get(group) == {"user": "u1", "at": NOON, "clicks": "3", "share": "0.50"}
    assert features.get(group, FeatureNames=["clicks", "device"]) == {"clicks": "3"}
    assert features.get(group, user="nobody") == {}


def test_a_group_answers_to_its_arn_too(features: Features, group: str) -> None:
    arn = features.described(group)["FeatureGroupArn"]
    features.put(arn, user="by-arn", clicks=1)
    assert features.get(arn, user="by-arn")["clicks"] == "1"


def test_the_online_store_keeps_the_latest_event(features: Features, group: str) -> None:
    for hour, clicks in ((12, 1), (14, 2), (13, 3)):
        features.put(group, at=f"2026-11-21T{hour}:00:00Z", user="late", clicks=clicks)
    assert features.get(group, user="late")["clicks"] == "2"
    features.put(group, at="2026-11-21T14:00:00Z", user="late", clicks=4)
    assert features.get(group, user="late")["clicks"] == "4"


def test_a_deleted_record_stays_away_until_a_later_event(features: Features) -> None:
    name = features.created("deleted")
    features.put(name, clicks=1)
    features.delete(name, at="2026-11-21T11:00:00Z")
    assert features.get(name)["clicks"] == "1", "an older deletion changes nothing"
    features.delete(name, at="2026-11-21T13:00:00Z")
    features.put(name, at="2026-11-21T12:30:00Z", clicks=2)
    assert features.get(name) == {}
    features.put(name, at="2026-11-21T13:30:00Z", clicks=3)
    assert features.get(name)["clicks"] == "3"
    features.delete(name, at="2026-11-21T14:00:00Z", DeletionMode="HardDelete")
    features.put(name, at=NOON, clicks=4)
    assert features.get(name)["clicks"] == "4"


@pytest.mark.parametrize(
    ("record", "says"),
    [
        pytest.param({"colour": "red"}, "colour is no feature", id="an unknown feature"),
        pytest.param({"clicks": "3.5"}, "clicks must be Integral", id="a fraction for an integer"),
        pytest.param({"clicks": "1_000"}, "clicks must be Integral", id="an integer as Python writes it"),
        pytest.param({"clicks": str(2**63)}, "out of the range", id="an integer of more than 64 bits"),
        pytest.param({"share": "nan"}, "share must be Fractional", id="no number"),
        pytest.param({"share": "1e999"}, "out of the range", id="a number without end"),
        pytest.param({"at": "21.11.2026"}, "ISO 8601", id="another form of date"),
        pytest.param({"at": "2026-02-30T12:00:00Z"}, "ISO 8601", id="a day that is none"),
        pytest.param({"at": "2026-11-21T12:00:00"}, "ISO 8601", id="no time zone"),
    ],
)
def test_a_wrong_record_is_refused(features: Features, group: str, record: dict[str, str], says: str) -> None:
    with pytest.raises(ClientError, match="ValidationError") as caught:
        features.put(group, **record)
    assert says in str(caught.value)


def test_a_record_without_its_key_is_refused(features: Features, group: str) -> None:
    record = [{"FeatureName": "at", "ValueAsString": NOON}]
    code, message, status = refused(features.runtime.put_record, FeatureGroupName=group, Record=record)
    assert (code, status) == ("ValidationError", 400)
    assert "lacks user" in message


def test_records_of_no_group_are_not_found(features: Features) -> None:
    request = {"FeatureGroupName": "nobody", "RecordIdentifierValueAsString": "u1"}
    code, _, status = refused(features.runtime.get_record, **request)
    assert (code, status) == ("ResourceNotFound", 404)


def test_a_runtime_call_that_is_not_implemented_says_so(features: Features) -> None:
    identifiers = [{"FeatureGroupName": "clicks", "RecordIdentifiersValueAsString": ["u1"]}]
    code, message, _ = refused(features.runtime.batch_get_record, Identifiers=identifiers)
    assert code == "ValidationError"
    assert "BatchGetRecord is not implemented" in message


def test_the_offline_store_appends_every_event_under_its_hour(features: Features) -> None:
    name = features.created("history")
    began = datetime.now(UTC)
    for at, clicks in (("2026-11-21T12:59:59Z", 1), ("2026-11-21T12:00:00Z", 2), ("2026-11-21T13:00:00.500Z", 3)):
        features.put(name, at=at, clicks=clicks)
    features.delete(name, at="2026-11-21T13:00:01Z")
    until(lambda: sum(table.num_rows for table in features.files(name).values()) == 4)
    files = features.files(name)
    for key in files:
        assert re.fullmatch(
            r"year=2026/month=11/day=21/hour=1[23]/20261121T1[23]\d{4}Z_[A-Za-z0-9]{16}\.parquet", key
        ), key
    rows = [row for table in files.values() for row in table.to_pylist()]
    rows.sort(key=lambda row: row["at"])
    assert [row["clicks"] for row in rows] == [2, 1, 3, None]
    assert [row["is_deleted"] for row in rows] == [False, False, False, True]
    assert rows[-1]["user"] == "u1"
    assert all(began <= row["api_invocation_time"] <= row["write_time"] <= datetime.now(UTC) for row in rows[:3])


def test_columns_have_the_types_of_the_features(features: Features) -> None:
    name = features.created("types")
    features.put(name, clicks=1, share=0.5, device="phone")
    (table,) = until(lambda: features.files(name)).values()
    instant = pa.timestamp("ms", tz="UTC")
    added = [("write_time", instant), ("api_invocation_time", instant), ("is_deleted", pa.bool_())]
    own = [("user", pa.string()), ("at", pa.string()), ("clicks", pa.int64()), ("share", pa.float64())]
    assert list(zip(table.schema.names, table.schema.types, strict=True)) == [*own, ("device", pa.string()), *added]


def test_a_fractional_event_time_counts_in_seconds(features: Features) -> None:
    definitions = [{"FeatureName": "user", "FeatureType": "String"}, {"FeatureName": "at", "FeatureType": "Fractional"}]
    name = features.created("seconds", FeatureDefinitions=definitions)
    features.put(name, at="1795262400.25")
    (key,) = until(lambda: features.files(name))
    assert key.startswith("year=2026/month=11/day=21/hour=12/20261121T120000Z_")


def test_only_the_named_store_is_written(features: Features) -> None:
    name = features.created("one-store")
    record = [{"FeatureName": key, "ValueAsString": value} for key, value in {"user": "u1", "at": NOON}.items()]
    features.runtime.put_record(FeatureGroupName=name, Record=record, TargetStores=["OfflineStore"])
    until(lambda: features.files(name))
    assert features.get(name) == {}


def test_a_group_without_an_online_store_has_no_records_to_get(features: Features) -> None:
    name = features.created("offline-only", OnlineStoreConfig={})
    features.put(name)
    with pytest.raises(ClientError, match="has no online store"):
        features.get(name)


def test_a_role_that_may_not_write_blocks_the_offline_store_until_it_may(features: Features) -> None:
    arn = role(features.emulator, "blocked-store", "sagemaker.amazonaws.com", ("s3:GetObject", "*"))
    name = features.created("blocked", RoleArn=arn)
    features.put(name)
    until(lambda: features.described(name)["OfflineStoreStatus"]["Status"] == "Blocked")
    assert "AccessDenied" in features.described(name)["OfflineStoreStatus"]["BlockedReason"]
    allowed = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    features.emulator.client("iam").put_role_policy(RoleName="blocked-store", PolicyName="more", PolicyDocument=policy)
    assert sum(table.num_rows for table in until(lambda: features.files(name)).values()) == 1
    until(lambda: features.described(name)["OfflineStoreStatus"] == {"Status": "Active"})


def test_a_deleted_group_is_gone_with_its_records_but_not_its_files(features: Features) -> None:
    name = features.created("gone")
    features.put(name)
    until(lambda: features.files(name))
    features.api.delete_feature_group(FeatureGroupName=name)
    assert refused(features.api.describe_feature_group, FeatureGroupName=name)[0] == "ResourceNotFound"
    keys = [one["Key"] for one in features.s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert any("/gone-" in key for key in keys)
    features.created(name)
    assert features.get(name) == {}


def test_a_role_may_do_to_a_group_what_its_policy_says(features: Features, group: str) -> None:
    arn = "arn:aws:sagemaker:us-east-1:000000000000:feature-group"
    writer = role(features.emulator, "writer", "lambda.amazonaws.com", ("sagemaker:PutRecord", f"{arn}/{group}"))
    runtime = features.emulator.client("sagemaker-featurestore-runtime", **acting_as(features.emulator, writer))
    record = [{"FeatureName": key, "ValueAsString": value} for key, value in {"user": "u9", "at": NOON}.items()]
    runtime.put_record(FeatureGroupName=group, Record=record)
    with pytest.raises(ClientError, match="sagemaker:GetRecord"):
        runtime.get_record(FeatureGroupName=group, RecordIdentifierValueAsString="u9")
    with pytest.raises(ClientError, match="sagemaker:PutRecord"):
        runtime.put_record(FeatureGroupName="deleted", Record=record)


def test_who_makes_a_group_must_be_allowed_to_pass_its_role(features: Features) -> None:
    maker = role(features.emulator, "maker", "lambda.amazonaws.com", ("sagemaker:CreateFeatureGroup", "*"))
    client = features.emulator.client("sagemaker", **acting_as(features.emulator, maker))
    with pytest.raises(ClientError, match="iam:PassRole"):
        client.create_feature_group(**features.request("passed"))


def test_what_waits_is_written_when_the_emulator_stops_and_its_groups_are_there_when_it_starts(
    emulator: Emulator, tmp_path: Path
) -> None:
    other = Emulator(emulator.environments, tmp_path / "emulator", RATCHET_OFFLINE_STORE_SECONDS="3600").start()
    features = Features(other)
    name = features.created("kept")
    features.put(name, clicks=7)
    assert not features.files(name)
    assert other.stop() == 0
    other.start()
    try:
        (table,) = features.files(name).values()
        assert table.column("clicks").to_pylist() == [7]
    finally:
        other.stop()


TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Parameters:
  Online: {Type: String, Default: "true"}
  Words: {Type: String, Default: as they are clicked}
Resources:
  Bucket: {Type: AWS::S3::Bucket}
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Statement: [{Effect: Allow, Principal: {Service: sagemaker.amazonaws.com}, Action: "sts:AssumeRole"}]
  Group:
    Type: AWS::SageMaker::FeatureGroup
    Properties:
      FeatureGroupName: deployed
      RecordIdentifierFeatureName: user
      EventTimeFeatureName: at
      FeatureDefinitions:
        - {FeatureName: user, FeatureType: String}
        - {FeatureName: at, FeatureType: String}
      OnlineStoreConfig: {EnableOnlineStore: !Ref Online}
      OfflineStoreConfig:
        S3StorageConfig: {S3Uri: !Sub "s3://${Bucket}/store"}
        DisableGlueTableCreation: true
      RoleArn: !GetAtt Role.Arn
      Description: !Ref Words
Outputs:
  Name: {Value: !Ref Group}
  Status: {Value: !GetAtt Group.FeatureGroupStatus}
"""


def test_a_stack_has_its_group_from_the_first_deployment_to_its_deletion(features: Features, tmp_path: Path) -> None:
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    emulator = features.emulator

    def deploy(**parameters: str) -> dict[str, str]:
        sam = emulator.environments.sam
        return build_and_deploy(tmp_path, emulator.endpoint, "with-features", parameters, sam=sam)

    assert deploy() == {"Name": "deployed", "Status": "Created"}
    made = features.described("deployed")
    assert made["OnlineStoreConfig"] == {"EnableOnlineStore": True}
    assert deploy() == {"Name": "deployed", "Status": "Created"}
    assert features.described("deployed") == made
    with pytest.raises(Exception, match=r"Description of the feature group deployed cannot be changed"):
        deploy(Words="otherwise")
    emulator.client("cloudformation").delete_stack(StackName="with-features")
    emulator.client("cloudformation").get_waiter("stack_delete_complete").wait(
        StackName="with-features", WaiterConfig={"Delay": 1}
    )
    assert refused(features.api.describe_feature_group, FeatureGroupName="deployed")[0] == "ResourceNotFound"


@pytest.mark.parametrize("call", ["CreateFeatureGroup", "DescribeFeatureGroup", "DeleteFeatureGroup"])
def test_a_request_without_what_it_needs_is_refused(features: Features, call: str) -> None:
    client = unvalidated(features.emulator, "sagemaker")
    code, message, _ = refused(getattr(client, xform_name(call)))
    assert code == "ValidationException"
    assert 'Missing required parameter in input: "FeatureGroupName"' in message


@pytest.mark.parametrize(
    ("call", "lacks"),
    [("PutRecord", "Record"), ("GetRecord", "RecordIdentifierValueAsString"), ("DeleteRecord", "EventTime")],
)
def test_a_runtime_request_without_what_it_needs_is_refused(features: Features, call: str, lacks: str) -> None:
    client = unvalidated(features.emulator, "sagemaker-featurestore-runtime")
    code, message, _ = refused(getattr(client, xform_name(call)), FeatureGroupName="clicks")
    assert code == "ValidationError"
    assert f'Missing required parameter in input: "{lacks}"' in message
