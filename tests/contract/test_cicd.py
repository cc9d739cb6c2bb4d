"""House rules for delivery: the order of its stages, one package for both stacks, roles that reach no further."""

import json
import re
import shlex
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import pytest
import yaml
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER as SCHEMAS
from ratchet.catalog import names

from cli.app import main
from tests.contract import application
from tests.contract.application import ROOT, lint, parse

FOLDER = ROOT / "cicd"
TEXT = (FOLDER / "pipeline.yaml").read_text()
DELIVERY = parse(TEXT)
RESOURCES = DELIVERY["Resources"]
BUILDSPECS = {path.name: yaml.safe_load(path.read_text()) for path in sorted((FOLDER / "buildspecs").glob("*.yaml"))}
STAGES = RESOURCES["Pipeline"]["Properties"]["Stages"]
ACTIONS = {
    action["Name"]: action
    for stage in STAGES
    for action in sorted(stage["Actions"], key=lambda action: action.get("RunOrder", 1))
}
MADE_BY_SAM = {
    "Function": [*(f"Lambda::{kind}" for kind in ("Function", "Version", "Alias", "Permission", "EventInvokeConfig"))],
    "LayerVersion": ["Lambda::LayerVersion"],
    "StateMachine": ["StepFunctions::StateMachine", "IAM::ManagedPolicy"],
    "HttpApi": ["ApiGatewayV2::Api", "ApiGatewayV2::Stage"],
}
"""What SAM makes of its resources, beside roles; the managed policies are those of connectors."""
SPARED = (
    # Of features and kinds of principals that the template does not use.
    "(codedeploy|ec2|elasticfilesystem|firehose|glue|s3files|s3tables):.*",
    r"iam:\w+(User|Group)Policy|iam:(Put|Delete)RolePermissionsBoundary",
    r"lambda:(Put|Delete)Function(CodeSigning|Recursion|Scaling)Config|lambda:(Put|Delete)\w+Concurrency(Config)?",
    "lambda:(AssociateRuntimeAlias|GetCodeSigningConfig|PassCapacityProvider|PutRuntimeManagementConfig)",
    r"logs:(Put|Delete)(DataProtection|Index)Policy|logs:DeleteResourcePolicy|logs:\w+(KmsKey|Authentication|Protection)",
    r"s3:(Create|Delete|Update)Bucket(?!Policy)\w+|s3:Put(Accelerate|Analytics|IntelligentTiering|Inventory|Metrics)\w+",
    "s3:PutBucket(Abac|Acl|CORS|Logging|ObjectLockConfiguration|Replication|Website)",
    "s3:PutObject(Acl|LockConfiguration)|s3:PutReplicationConfiguration",
    r"sagemaker:(Put|Delete)ModelPackageGroupPolicy|secretsmanager:(Remove|Replicate)\w+|sns:PutDataProtectionPolicy",
    # A key's own policy says who may use it.
    "kms:.*",
    # The bucket outlives its stack.
    "s3:DeleteBucket|s3:DeleteObject",
    # The schemas say so, but there are no such actions.
    r"apigateway:(Tag|Untag)Resource|s3:getObject|s3:REST\.PUT\.OBJECT",
)
"""What CloudFormation's schemas name and a deployment of this template can do without."""
each_buildspec = pytest.mark.parametrize("name", sorted(BUILDSPECS))


def of_type(kind: str) -> dict[str, dict[str, Any]]:
    return {name: resource["Properties"] for name, resource in RESOURCES.items() if resource["Type"] == kind}


ROLES, PROJECTS = of_type("AWS::IAM::Role"), of_type("AWS::CodeBuild::Project")
each_role = pytest.mark.parametrize("role", sorted(ROLES))


def project(action: str) -> str:
    """The logical id of the project that an action runs."""
    name: str = ACTIONS[action]["Configuration"]["ProjectName"]["Ref"]
    return name


def variables(name: str) -> dict[str, Any]:
    """What a project tells its builds, and all of its actions tell them."""
    given = {each["Name"]: each["Value"] for each in PROJECTS[name]["Environment"].get("EnvironmentVariables", [])}
    for action in ACTIONS.values():
        if action["Configuration"].get("ProjectName") == {"Ref": name}:
            told = json.loads(action["Configuration"].get("EnvironmentVariables", "[]"))
            given |= {each["name"]: each["value"] for each in told}
    return given


def commands(name: str) -> Iterator[str]:
    for phase in BUILDSPECS[name]["phases"].values():
        yield from phase.get("commands", [])


def statements(role: str) -> list[dict[str, Any]]:
    """All that a role may do, by its own policies and by the managed ones."""
    documents = [policy["PolicyDocument"] for policy in ROLES[role].get("Policies", [])]
    for attached in ROLES[role]["ManagedPolicyArns"]:
        named = attached["Fn::If"][1] if "Fn::If" in attached else attached
        documents.append(RESOURCES[named["Ref"]]["Properties"]["PolicyDocument"])
    return [statement for document in documents for statement in document["Statement"]]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def actions(role: str) -> set[str]:
    return {action for statement in statements(role) for action in listed(statement["Action"])}


def writers(key: str) -> set[str]:
    """The roles that may put this object into the bucket of artifacts."""
    asked = f"${{Artifacts.Arn}}/{key}"
    return {
        role
        for role in ROLES
        for statement in statements(role)
        if "s3:PutObject" in listed(statement["Action"]) and fnmatchcase(asked, statement["Resource"]["Fn::Sub"])
    }


def test_cfn_lint_finds_nothing_in_the_delivery() -> None:
    assert lint(FOLDER / "pipeline.yaml") == ""


def test_the_delivery_is_small_enough_to_be_deployed_without_a_bucket() -> None:
    """As docs/cicd.md says; and no managed policy is larger than IAM takes one."""
    assert len(TEXT.encode()) <= 51_200
    sizes = [len(json.dumps(one["PolicyDocument"])) for one in of_type("AWS::IAM::ManagedPolicy").values()]
    assert max(sizes) <= 6_144


def test_a_commit_passes_everything_on_its_way_to_production() -> None:
    order = ["Source", "BuildAndTest", "DeployDev", "SmokeRun", "Approve", "DeployProd"]
    assert list(ACTIONS) == order
    assert ACTIONS["Source"]["ActionTypeId"]["Provider"] == "CodeStarSourceConnection"
    assert ACTIONS["Approve"]["ActionTypeId"] == {
        "Category": "Approval",
        "Owner": "AWS",
        "Provider": "Manual",
        "Version": "1",
    }


def test_a_person_stands_alone_between_the_smoke_run_and_production() -> None:
    stages = [[action["Name"] for action in stage["Actions"]] for stage in STAGES]
    assert stages[-3:] == [["DeployDev", "SmokeRun"], ["Approve"], ["DeployProd"]]
    assert ACTIONS["Approve"]["Configuration"]["NotificationArn"] == {"Ref": "ApprovalTopic"}
    assert RESOURCES["ApprovalTopic"]["Type"] == "AWS::SNS::Topic"


def test_nothing_else_is_deployed_to_the_dev_stack_while_it_is_tried() -> None:
    (stage,) = [stage for stage in STAGES if stage["Name"] == "Dev"]
    assert [(action["Name"], action["RunOrder"]) for action in stage["Actions"]] == [("DeployDev", 1), ("SmokeRun", 2)]
    assert variables(project("SmokeRun"))["STACK"] == variables(project("DeployDev"))["STACK"]


def test_production_gets_the_very_package_that_was_tested() -> None:
    built, dev, prod = (ACTIONS[name] for name in ("BuildAndTest", "DeployDev", "DeployProd"))
    assert built["OutputArtifacts"] == dev["InputArtifacts"] == prod["InputArtifacts"] == [{"Name": "Package"}]
    specs = {PROJECTS[project(name)]["Source"]["BuildSpec"] for name in ("DeployDev", "DeployProd")}
    assert specs == {"cicd/buildspecs/deploy.yaml"}
    assert not [command for command in commands("deploy.yaml") if re.search(r"\bsam\b|\bmake\b|\bpip\b", command)]
    assert writers("packages/digest") == {"BuildRole"}
    assert writers("${Application}-delivery/Package/key") == {"BuildRole"}


def test_what_is_deployed_has_the_digest_that_the_build_told() -> None:
    assert BUILDSPECS["build.yaml"]["env"]["exported-variables"] == ["PACKAGE_DIGEST"]
    assert ACTIONS["BuildAndTest"]["Namespace"] == "Build"
    for action in ("DeployDev", "DeployProd"):
        assert variables(project(action))["PACKAGE_DIGEST"] == "#{Build.PACKAGE_DIGEST}"
    first, *_ = commands("deploy.yaml")
    assert "$PACKAGE_DIGEST" in first
    assert "sha256sum --check" in first


def test_a_failed_test_ends_the_build_before_anything_is_packaged() -> None:
    """A phase after the one that failed is entered all the same."""
    (test, package, *_) = BUILDSPECS["build.yaml"]["phases"]["build"]["commands"]
    assert test == "make test"
    assert "sam package" in package
    assert "post_build" not in BUILDSPECS["build.yaml"]["phases"]
    assert re.search(r"^test: check\b", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_each_buildspec_is_some_projects_and_the_other_way_round() -> None:
    named = {properties["Source"]["BuildSpec"] for properties in PROJECTS.values()}
    assert named == {f"cicd/buildspecs/{name}" for name in BUILDSPECS}


@each_buildspec
def test_a_buildspec_names_targets_and_files_that_exist(name: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\S+)", "\n".join(commands(name)), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
    files = BUILDSPECS[name].get("artifacts", {}).get("files", [])
    assert [file for file in files if file != "packaged.yaml" and not (ROOT / file).is_file()] == []
    assert BUILDSPECS[name]["phases"].get("install", {}).get("runtime-versions", {}).get("python", "3.12") == "3.12"


@pytest.mark.parametrize("pipeline", DELIVERY["Parameters"]["SmokePipeline"]["AllowedValues"])
def test_a_command_of_the_smoke_run_parses(pipeline: str) -> None:
    lines = [line.partition(" > ")[0] for line in commands("smoke.yaml") if line.startswith(".venv/bin/ratchet ")]
    assert [line.split()[1] for line in lines] == ["doctor", "run", "status"]
    for line in lines:
        _, name, *arguments = shlex.split(line.replace("$PIPELINE", pipeline).replace("$STACK", "ratchet-dev"))
        main.commands[name].make_context(name, arguments)


def test_the_smoke_run_passes_where_a_model_was_judged_and_nowhere_else() -> None:
    (asked,) = re.findall(r'"outcome": "\((.*)\)"', "\n".join(commands("smoke.yaml")))
    machine = parse((ROOT / "statemachines" / "pipeline.asl.yaml").read_text())
    ends = {name.lower().replace(" ", "_") for name, state in machine["States"].items() if state["Type"] == "Succeed"}
    assert ends - set(asked.split("|")) == {"no_new_rows", "not_enough_data", "same_run", "already_running"}
    assert set(asked.split("|")) <= ends


def test_any_pipeline_may_be_the_one_of_the_smoke_run() -> None:
    assert DELIVERY["Parameters"]["SmokePipeline"]["AllowedValues"] == names()


@pytest.mark.parametrize("name", sorted(PROJECTS))
def test_a_project_tells_its_buildspec_what_that_asks_for_and_nothing_else(name: str) -> None:
    spec = PROJECTS[name]["Source"]["BuildSpec"].rpartition("/")[2]
    asked = set(re.findall(r"\$([A-Z_]+)", "\n".join(commands(spec))))
    assert {variable for variable in asked if not variable.startswith("CODEBUILD_")} == set(variables(name))


@pytest.mark.parametrize("name", ["DevParameters", "ProdParameters"])
def test_a_stacks_parameters_are_the_templates_and_synthetic_models_stay_in_dev(name: str) -> None:
    parameter = DELIVERY["Parameters"][name]
    assert re.fullmatch(parameter["AllowedPattern"], parameter["Default"])
    given = dict(each.split("=") for each in parameter["Default"].split())
    assert set(given) <= set(application.TEMPLATE["Parameters"])
    assert given.get("AllowSynthetic", "false") == ("true" if name == "DevParameters" else "false")


def test_stages_share_no_role() -> None:
    used = [properties["ServiceRole"]["Fn::GetAtt"][0] for properties in PROJECTS.values()]
    used += [variables(project(action))["EXECUTION_ROLE"]["Fn::GetAtt"][0] for action in ("DeployDev", "DeployProd")]
    used += [RESOURCES["Pipeline"]["Properties"]["RoleArn"]["Fn::GetAtt"][0]]
    assert sorted(used) == sorted(ROLES)


@each_role
def test_a_role_is_for_one_service_and_lies_where_no_deployment_reaches(role: str) -> None:
    (trust,) = ROLES[role]["AssumeRolePolicyDocument"]["Statement"]
    assert set(trust["Principal"]) == {"Service"}
    assert isinstance(trust["Principal"]["Service"], str)
    assert ROLES[role]["Path"] == "/delivery/"


@each_role
def test_a_role_is_allowed_actions_by_their_names(role: str) -> None:
    assert {action for action in actions(role) if "*" in action} == set()
    assert {statement["Effect"] for statement in statements(role)} == {"Allow"}


def test_a_bare_wildcard_carries_its_reason() -> None:
    bare = [line for line in TEXT.splitlines() if re.search(r'(Resource|Principal|Action):\s*"?\*|- "\*"', line)]
    assert bare
    assert [line for line in bare if "#" not in line] == []


@pytest.mark.parametrize("stage", ["Dev", "Prod"])
def test_what_deploys_a_stack_reaches_that_stack_alone(stage: str) -> None:
    """The shared policies name the stack by the role's tag, and nothing of the other stage stands in its own."""
    other = {"Dev": "prod", "Prod": "dev"}[stage]
    for role in (f"{stage}DeployRole", f"{stage}ExecutionRole"):
        assert ROLES[role]["Tags"] == [{"Key": "stack", "Value": {"Fn::Sub": f"${{Application}}-{stage.lower()}"}}]
        assert f"-{other}" not in json.dumps(statements(role))
    (passed,) = [one for one in statements(f"{stage}DeployRole") if one["Action"] == "iam:PassRole"]
    assert passed["Resource"] == {"Fn::GetAtt": [f"{stage}ExecutionRole", "Arn"]}


def test_neither_building_nor_trying_can_change_a_stack() -> None:
    for role in ("PipelineRole", "BuildRole", "SmokeRole"):
        changing = re.compile(
            r"iam:.*|cloudformation:(?!Describe).*|lambda:.*|.*:(Create(?!LogStream)|Update|Delete)\w*"
        )
        assert {action for action in actions(role) if changing.fullmatch(action)} == set()


def test_cloudformation_may_do_what_the_templates_resources_need_and_little_else() -> None:
    """Its own schemas say what making, changing and removing a resource of each type takes."""
    needed = {action for kind in deployed_types() for action in needs(kind)}
    spared = re.compile("|".join(SPARED))
    granted = actions("ProdExecutionRole")
    assert granted == actions("DevExecutionRole")
    assert {action for action in needed - granted if not spared.fullmatch(action)} == set()
    assert {action for action in granted - needed if not action.startswith("kms:")} == {
        "iam:CreateServiceLinkedRole",
        *(f"logs:{each}" for each in ("DeleteLogDelivery", "GetLogDelivery", "ListLogDeliveries", "UpdateLogDelivery")),
    }


def deployed_types() -> set[str]:
    kinds = {resource["Type"].removeprefix("AWS::") for resource in application.RESOURCES.values()}
    sam = {kind for kind in kinds if kind.startswith("Serverless::")}
    made = {f"AWS::{each}" for kind in sam for each in MADE_BY_SAM[kind.removeprefix("Serverless::")]}
    return {f"AWS::{kind}" for kind in kinds - sam} | made | {"AWS::IAM::Role"}


def needs(kind: str) -> set[str]:
    handlers = SCHEMAS.get_resource_schema("us-east-1", kind).schema["handlers"]
    steps = [handlers.get(step, {}) for step in ("create", "read", "update", "delete")]
    return {action for step in steps for action in step.get("permissions", [])}


def test_the_artifacts_are_encrypted_versioned_closed_expire_and_travel_by_tls() -> None:
    bucket = RESOURCES["Artifacts"]["Properties"]
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["BucketEncryption"]
    (denied,) = RESOURCES["ArtifactsPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (denied["Effect"], denied["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    rules = {rule["Id"]: rule for rule in bucket["LifecycleConfiguration"]["Rules"]}
    assert {name for name, rule in rules.items() if "ExpirationInDays" in rule} == {"deliveries", "templates"}


def test_every_project_logs_where_logs_expire_and_has_no_privileges() -> None:
    assert RESOURCES["Logs"]["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    for properties in PROJECTS.values():
        assert properties["LogsConfig"]["CloudWatchLogs"]["GroupName"] == {"Ref": "Logs"}
        assert "PrivilegedMode" not in properties["Environment"]


def test_a_finding_that_is_kept_says_why() -> None:
    skips = [skip for one in RESOURCES.values() for skip in one.get("Metadata", {}).get("checkov", {}).get("skip", [])]
    assert skips
    assert [skip for skip in skips if len(skip.get("comment", "")) < 30] == []
