"""The calls on models and endpoint configurations: what an endpoint is to run, and on what."""

from __future__ import annotations

import time
from collections.abc import Callable

from local.emulator.sagemaker_calls import Call, Refused, Request, page, refuse_unbuilt
from local.emulator.sagemaker_names import arn
from local.emulator.sagemaker_resources import Resource, Resources, tags_of
from local.emulator.sagemaker_shapes import repeated

MODEL, CONFIG = "model", "endpoint-config"
_NAMES = {MODEL: "model", CONFIG: "endpoint configuration", "endpoint": "endpoint"}
_UNBUILT_CONTAINER = ("ModelPackageName", "ModelDataSource", "AdditionalModelDataSources", "MultiModelConfig")
_UNBUILT_CONFIG = ("AsyncInferenceConfig", "DataCaptureConfig", "ExplainerConfig", "ShadowProductionVariants")
_MEMORY_STEP = 1024


class Models:
    """The models and configurations of all accounts and regions."""

    def __init__(self, resources: Resources) -> None:
        """`resources` keep them."""
        self._resources = resources
        self.calls: dict[str, Call] = {
            "CreateModel": self._create_model,
            "DescribeModel": lambda request: self.find(MODEL, request["ModelName"]).shown,
            "DeleteModel": lambda request: self._delete(MODEL, request["ModelName"]),
            "ListModels": self._lister(MODEL, "Model", "Models"),
            "CreateEndpointConfig": self._create_config,
            "DescribeEndpointConfig": lambda request: self.find(CONFIG, request["EndpointConfigName"]).shown,
            "DeleteEndpointConfig": lambda request: self._delete(CONFIG, request["EndpointConfigName"]),
            "ListEndpointConfigs": self._lister(CONFIG, "EndpointConfig", "EndpointConfigs"),
        }

    def find(self, kind: str, name: str) -> Resource:
        """The model, configuration or endpoint of this name. Raises Refused."""
        found = self._resources.find(arn(kind, name))
        if found is None:
            raise Refused("ValidationException", f'Could not find {_NAMES[kind]} "{arn(kind, name)}".')
        return found

    def add(self, kind: str, resource: Resource) -> None:
        """Keep what is new. Raises Refused where the name is taken."""
        if not self._resources.add(resource):
            raise Refused("ValidationException", f'Cannot create already existing {_NAMES[kind]} "{resource.arn}".')

    def _create_model(self, request: Request) -> Request:
        refuse_unbuilt("CreateModel", request, ("Containers", "InferenceExecutionConfig"))
        container = request.get("PrimaryContainer", {})
        refuse_unbuilt("CreateModel", container, _UNBUILT_CONTAINER)
        if not container.get("Image") or not container.get("ModelDataUrl") or "ExecutionRoleArn" not in request:
            wanted = "PrimaryContainer with Image and ModelDataUrl, and ExecutionRoleArn"
            raise Refused("ValidationException", f"The laptop target's SageMaker needs {wanted}.")
        own = arn(MODEL, request["ModelName"])
        shown = repeated(request, "DescribeModel") | {"ModelArn": own, "CreationTime": time.time()}
        self.add(MODEL, Resource(own, shown, tags_of(request)))
        return {"ModelArn": own}

    def _create_config(self, request: Request) -> Request:
        refuse_unbuilt("CreateEndpointConfig", request, _UNBUILT_CONFIG)
        self._check_variants(request["ProductionVariants"])
        own = arn(CONFIG, request["EndpointConfigName"])
        shown = repeated(request, "DescribeEndpointConfig") | {"EndpointConfigArn": own, "CreationTime": time.time()}
        self.add(CONFIG, Resource(own, shown, tags_of(request)))
        return {"EndpointConfigArn": own}

    def _check_variants(self, variants: list[Request]) -> None:
        if len(variants) != 1:
            raise Refused("ValidationException", "The laptop target's SageMaker serves one production variant.")
        (variant,) = variants
        refuse_unbuilt("CreateEndpointConfig", variant, ("InstancePools", "ManagedInstanceScaling"))
        if "ModelName" not in variant:
            raise Refused("ValidationException", f"ModelName is required for the variant {variant['VariantName']}.")
        model = self.find(MODEL, variant["ModelName"])
        wrong = _wrong_serverless(variant, model) if "ServerlessConfig" in variant else _wrong_instances(variant)
        if wrong:
            raise Refused("ValidationException", wrong)

    def _delete(self, kind: str, name: str) -> Request:
        self._resources.remove(self.find(kind, name).arn)
        return {}

    def _lister(self, kind: str, prefix: str, member: str) -> Call:
        names = (f"{prefix}Name", f"{prefix}Arn", "CreationTime")
        return lister(self._resources, kind, names, member, lambda shown, request: True)


def lister(
    resources: Resources, kind: str, names: tuple[str, ...], member: str, wanted: Callable[[Request, Request], bool]
) -> Call:
    """The List call of a kind: pages of the summaries with `names` (the first is the thing's name) under `member`."""
    unbuilt = ("CreationTimeBefore", "CreationTimeAfter", "LastModifiedTimeBefore", "LastModifiedTimeAfter")

    def listed(request: Request) -> Request:
        refuse_unbuilt(f"List{member}", request, unbuilt)
        shown = [each.shown for each in resources.under(arn(kind, ""))]
        part = request.get("NameContains", "")
        found = [each for each in shown if part in each[names[0]] and wanted(each, request)]
        summaries, more = page(
            [{name: each[name] for name in names} for each in found], request, {"Name": names[0], "Status": names[-1]}
        )
        return {member: summaries, **more}

    return listed


def is_serverless(config: Request) -> bool:
    """Whether a configuration's variant is serverless."""
    return "ServerlessConfig" in config["ProductionVariants"][0]


def _wrong_serverless(variant: Request, model: Resource) -> str:
    if "InstanceType" in variant or "InitialInstanceCount" in variant:
        return "A variant has either ServerlessConfig or InstanceType and InitialInstanceCount."
    memory = variant["ServerlessConfig"]["MemorySizeInMB"]
    if memory % _MEMORY_STEP:
        return f"MemorySizeInMB must be a multiple of {_MEMORY_STEP}, not {memory}."
    if model.shown.get("EnableNetworkIsolation"):
        return "Serverless endpoints do not support models with network isolation."
    return ""


def _wrong_instances(variant: Request) -> str:
    missing = [name for name in ("InstanceType", "InitialInstanceCount") if name not in variant]
    return f"A variant without ServerlessConfig needs {' and '.join(missing)}." if missing else ""
