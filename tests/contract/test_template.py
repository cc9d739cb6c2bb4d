"""House rules for the template: functions, schedules, logs, rights, and the same names everywhere."""

import json
import re
import tomllib
from typing import Any

import pytest
from ratchet.catalog import load, names
from ratchet.settings import Settings
from ratchet.sources import MeterFiles, SensorFiles

from tests.contract.application import (
    FUNCTIONS,
    MACHINES,
    OUTPUTS,
    RESOURCES,
    ROOT,
    TEMPLATE,
    TEMPLATE_TEXT,
    lint,
    logical_id,
    of_type,
    placeholders,
)

GLOBALS = TEMPLATE["Globals"]["Function"]
DEPLOYED = of_type("AWS::Serverless::Function")
SCHEDULES = of_type("AWS::Scheduler::Schedule")
RIGHTS = TEMPLATE["Mappings"]["ObjectRights"]
each_function = pytest.mark.parametrize("name", sorted(DEPLOYED))
each_schedule = pytest.mark.parametrize("name", sorted(SCHEDULES))
each_pipeline = pytest.mark.parametrize("pipeline", names())


def test_cfn_lint_finds_nothing_in_the_template() -> None:
    assert lint(ROOT / "template.yaml") == ""


def test_every_folder_of_functions_is_deployed_and_every_deployed_function_has_one() -> None:
    assert {logical_id(step): f"functions/{step}" for step in FUNCTIONS} == {
        name: resource["Properties"]["CodeUri"] for name, resource in DEPLOYED.items()
    }


@pytest.mark.parametrize("step", FUNCTIONS)
def test_a_handler_is_short_and_names_what_it_installs(step: str) -> None:
    lines = (ROOT / "functions" / step / "app.py").read_text().splitlines()
    assert len([line for line in lines if line.strip()]) <= 30
    assert (ROOT / "functions" / step / "requirements.txt").exists()


def test_a_new_layer_reaches_the_alias_that_the_machines_call() -> None:
    assert GLOBALS["AutoPublishAlias"]
    assert GLOBALS["AutoPublishAliasAllProperties"] is True
    layers = of_type("AWS::Serverless::LayerVersion")
    assert layers
    assert {name for name, layer in layers.items() if not layer["Properties"].get("PublishLambdaVersion")} == set()


@each_function
def test_another_value_of_a_parameter_reaches_the_alias(name: str) -> None:
    told, own = GLOBALS["Environment"], DEPLOYED[name]["Properties"].get("Environment", {})
    # Just what the environment does: the same function under another description is no new version.
    assert parameters_in(DEPLOYED[name]["Properties"]["VersionDescription"]) == parameters_in([told, own])


KEY_ID = 36
"""Characters of a key's name, the only part of a value that a description takes."""


@each_function
def test_a_description_of_a_version_fits_lambdas_256_characters(name: str) -> None:
    assert longest(DEPLOYED[name]["Properties"]["VersionDescription"]) <= 256


def longest(value: Any) -> int:
    """How many characters a description may have."""
    if isinstance(value, str):
        names = placeholders(value) & set(TEMPLATE["Parameters"])
        return len(value) - sum(len(f"${{{each}}}") - longest({"Ref": each}) for each in names)
    (kind, given), *_ = value.items()
    if kind == "Fn::Sub" and isinstance(given, list):
        text, named = given
        return longest(text) - sum(len(f"${{{each}}}") - longest(told) for each, told in named.items())
    if kind == "Fn::If":
        return max(map(longest, given[1:]))
    if kind == "Fn::Select":
        return KEY_ID
    if kind == "Fn::Sub":
        return longest(given)
    parameter = TEMPLATE["Parameters"][given]
    told = parameter.get("AllowedValues") or [parameter.get("MaxValue")]
    return int(parameter["MaxLength"]) if "MaxLength" in parameter else max(len(str(each)) for each in told)


def parameters_in(value: Any) -> set[str]:
    """The parameters that a value depends on, through conditions as well."""
    if isinstance(value, list):
        return set().union(*(parameters_in(each) for each in value))
    if not isinstance(value, dict):
        return placeholders(value) & set(TEMPLATE["Parameters"]) if isinstance(value, str) else set()
    found = parameters_in(list(value.values()))
    found |= {value["Ref"]} & set(TEMPLATE["Parameters"]) if "Ref" in value else set()
    return found | (parameters_in(TEMPLATE["Conditions"][value["Fn::If"][0]]) if "Fn::If" in value else set())


@each_function
def test_a_function_logs_where_logs_expire(name: str) -> None:
    own = DEPLOYED[name]["Properties"].get("LoggingConfig", {})
    group = {**GLOBALS["LoggingConfig"], **own}["LogGroup"]["Ref"]
    assert RESOURCES[group]["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_a_machine_logs_where_logs_expire_and_is_traced(machine: Any) -> None:
    properties = machine.resource["Properties"]
    (destination,) = properties["Logging"]["Destinations"]
    group = destination["CloudWatchLogsLogGroup"]["LogGroupArn"]["Fn::GetAtt"][0]
    assert RESOURCES[group]["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    assert properties["Tracing"]["Enabled"]


@each_function
def test_a_function_has_rights_of_its_own_and_a_sentence_about_it(name: str) -> None:
    properties = DEPLOYED[name]["Properties"]
    assert "Role" not in properties
    assert properties["Policies"]
    assert properties["Description"]


@each_function
def test_a_role_stays_below_the_ten_managed_policies_it_may_hold(name: str) -> None:
    added_by_sam = 2
    assert len(managed(name)) + added_by_sam <= 10


@each_function
def test_a_function_is_told_only_what_the_settings_read(name: str) -> None:
    fields = {f"RATCHET_{field.upper()}" for field in Settings.__annotations__}
    told = {**GLOBALS["Environment"]["Variables"], **environment(name)}
    assert {variable for variable in told if variable.startswith("RATCHET_")} <= fields


def test_no_library_tells_its_makers_of_what_a_function_does() -> None:
    """ONNX Runtime does unless it is told otherwise before it is imported."""
    assert GLOBALS["Environment"]["Variables"]["ORT_DISABLE_TELEMETRY"] == "1"


def test_every_function_is_told_what_the_settings_require() -> None:
    required = {f"RATCHET_{field.upper()}" for field in Settings.__annotations__ if not hasattr(Settings, field)}
    assert required <= set(GLOBALS["Environment"]["Variables"])


@each_function
def test_who_is_told_of_the_secret_may_read_it_and_nobody_else(name: str) -> None:
    assert ("SecretReader" in managed(name)) == ("RATCHET_SECRET" in environment(name))


def test_the_secret_itself_is_no_parameter() -> None:
    words = re.compile("key|password|token|url", re.IGNORECASE)
    # An ARN names a key of KMS, which nobody can take out of it.
    assert not [name for name in TEMPLATE["Parameters"] if words.search(name) and not name.endswith("Arn")]


@pytest.mark.parametrize("name", sorted(TEMPLATE["Parameters"]))
def test_a_parameter_says_what_it_is_and_what_it_may_be(name: str) -> None:
    parameter = TEMPLATE["Parameters"][name]
    assert parameter["Description"]
    assert {"AllowedPattern", "AllowedValues", "MinValue"} & set(parameter)


@each_schedule
def test_a_schedule_is_punctual_has_a_time_zone_and_loses_nothing(name: str) -> None:
    properties = SCHEDULES[name]["Properties"]
    assert properties["FlexibleTimeWindow"] == {"Mode": "OFF"}
    assert properties["State"] == {"Ref": "SchedulesState"}
    assert properties["ScheduleExpressionTimezone"]
    assert properties["Target"]["DeadLetterConfig"]
    assert properties["Target"]["RetryPolicy"]
    assert "<aws.scheduler.scheduled-time>" in json.dumps(properties["Target"]["Input"])


@each_schedule
def test_a_schedule_keeps_the_time_zone_of_its_pipeline(name: str) -> None:
    row = TEMPLATE["Mappings"]["Schedules"][name]
    assert row["Zone"] == load(row["Pipeline"]).time_zone


def test_every_rule_hands_what_it_cannot_deliver_to_the_dead_letters() -> None:
    for rule in of_type("AWS::Events::Rule").values():
        assert all("DeadLetterConfig" in target for target in rule["Properties"]["Targets"])


@each_pipeline
def test_a_pipeline_has_a_machine_schedules_a_rule_alarms_and_an_output(pipeline: str) -> None:
    rows = [name for name, row in TEMPLATE["Mappings"]["Schedules"].items() if row["Pipeline"] == pipeline]
    assert len(set(rows) & set(SCHEDULES)) >= 2, f"{pipeline} needs a schedule for runs and one for scoring"
    alarms = ("FailedAlarm", "StaleChampionAlarm", "ChampionNotServingAlarm")
    needed = {f"{pipeline}{kind}" for kind in ("Machine", "Ended", *alarms)}
    assert needed <= set(RESOURCES)
    assert OUTPUTS[f"{pipeline.capitalize()}MachineArn"]["Value"] == {"Ref": f"{pipeline}Machine"}


@each_pipeline
def test_a_model_that_a_person_signs_is_released_by_the_machine_that_registers_it(pipeline: str) -> None:
    signed = load(pipeline).serving.endpoint
    machine = TEMPLATE["Mappings"]["Releases"][pipeline]["Machine"]
    assert machine == ("signed-release" if signed else "release")


def test_what_writes_files_is_heard_or_may_be_read_just_where_the_pipeline_looks() -> None:
    """Sensors write where they like, which is read; what is put below a meter's prefix lands at once."""
    sources = {pipeline: load(pipeline).source for pipeline in names()}
    rows = {row["Pipeline"]: row["Prefix"] for row in TEMPLATE["Mappings"]["Uploads"].values()}
    assert rows == {name: source.prefix for name, source in sources.items() if isinstance(source, MeterFiles)}
    assert set(TEMPLATE["Mappings"]["Uploads"]) <= set(of_type("AWS::Events::Rule"))
    (reading, _) = RESOURCES["SensorFilesReader"]["Properties"]["PolicyDocument"]["Statement"]
    (pattern, _) = reading["Resource"]["Fn::Sub"]
    sensors = {source.prefix for source in sources.values() if isinstance(source, SensorFiles)}
    assert {f"{prefix}*" for prefix in sensors} == {pattern.partition("${Bucket}/")[2]}


def test_the_command_line_is_told_of_every_schedule() -> None:
    (_, told) = OUTPUTS["ScheduleNames"]["Value"]["Fn::Join"]
    assert {each["Ref"] for each in told} == set(SCHEDULES)


def test_the_template_names_no_pipeline_that_has_no_folder() -> None:
    machines = {name.removesuffix("Machine") for name in RESOURCES if re.fullmatch(r"[a-z]\w*Machine", name)}
    assert machines == set(names())
    # These two share the naming scheme of the machines.
    assert not {"release", "score-batch"} & machines


@each_pipeline
def test_what_sagemaker_writes_for_a_pipeline_expires(pipeline: str) -> None:
    rules = RESOURCES["LandingBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    prefixes = {rule["Prefix"] for rule in rules if "Prefix" in rule}
    keys = load(pipeline).keys
    assert {keys.jobs(), keys.checkpoints("x").partition("run_ts=")[0]} <= prefixes


def reaching(area: str) -> set[str]:
    """The policies that name keys of that area of the bucket."""
    keys = {name: [str(row.get(column)) for column in ("Keys", "Also", "And")] for name, row in RIGHTS.items()}
    return {name for name, patterns in keys.items() if any(pattern.startswith(f"{area}/") for pattern in patterns)}


def test_training_sees_neither_holdout_nor_landing() -> None:
    role = RESOURCES["TrainingRole"]["Properties"]
    closed = reaching("holdout") | reaching("landing")
    assert closed.isdisjoint(policy["Ref"] for policy in role["ManagedPolicyArns"])
    statements = [one for policy in role["Policies"] for one in policy["PolicyDocument"]["Statement"]]
    denied = json.dumps([one["Resource"] for one in statements if one["Effect"] == "Deny"])
    assert all(f"/{area}/*" in denied and f"/*/{area}/*" in denied for area in ("holdout", "landing"))


def test_only_those_who_prepare_and_judge_see_the_holdout() -> None:
    readers = {name for name in reaching("holdout") if "s3:GetObject" in RIGHTS[name]["Actions"]}
    assert {name for name in DEPLOYED if readers & managed(name)} == {"PrepareFunction", "EvaluateFunction"}


def test_every_row_of_rights_is_a_policy_that_somebody_has() -> None:
    held = {policy for name in DEPLOYED for policy in managed(name)}
    for role in ("TrainingRole", "EndpointRole"):
        held |= {policy["Ref"] for policy in RESOURCES[role]["Properties"]["ManagedPolicyArns"]}
    made = set(of_type("AWS::IAM::ManagedPolicy")) - {
        "LinkSecretReader",
        "PackagesReader",
        "SecretReader",
        "LeftoversStopper",
        "MachineLogsWriter",
        "SensorFilesReader",
    }
    assert set(RIGHTS) == made
    assert made <= held


def test_a_wildcard_carries_its_reason() -> None:
    bare = [line for line in TEMPLATE_TEXT.splitlines() if re.search(r'(Resource|Principal):\s*"\*"|- "\*"$', line)]
    assert bare
    assert [line for line in bare if "#" not in line] == []


def test_no_account_is_written_down_outside_the_table_of_images() -> None:
    before, _, rest = TEMPLATE_TEXT.partition("# images: begin")
    _, _, after = rest.partition("# images: end")
    config = (ROOT / "samconfig.toml").read_text()
    assert re.findall(r"\b\d{12}\b", before + after + config) == []


def test_the_offered_frameworks_are_those_that_have_an_image() -> None:
    frameworks = TEMPLATE["Mappings"]["TrainingFrameworks"]
    parameter = TEMPLATE["Parameters"]["FrameworkVersion"]
    assert set(frameworks) == {str(value) for value in parameter["AllowedValues"]}
    assert str(parameter["Default"]) in frameworks


@pytest.mark.parametrize("stage", ["default", "prod"])
def test_both_stages_expand_loops_and_are_told_apart(stage: str) -> None:
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())
    assert config[stage]["global"]["parameters"]["language_extensions"] is True
    assert config[stage]["deploy"]["parameters"]["resolve_s3"] is True
    stacks = {config[each]["global"]["parameters"]["stack_name"] for each in ("default", "prod")}
    assert len(stacks) == 2


def managed(name: str) -> set[str]:
    """The managed policies that a function is given by name."""
    return {policy["Ref"] for policy in DEPLOYED[name]["Properties"]["Policies"] if "Ref" in policy}


def environment(name: str) -> dict[str, Any]:
    """A function's own variables."""
    variables: dict[str, Any] = DEPLOYED[name]["Properties"].get("Environment", {}).get("Variables", {})
    return variables
