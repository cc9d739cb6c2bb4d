"""The calls on endpoints, and InvokeEndpoint: a process takes over only after it has answered /ping.

An update that fails leaves the endpoint InService with its old configuration and a FailureReason. Differs from AWS: the
alarms and traffic shifts of a DeploymentConfig are taken and shown, yet nobody watches or shifts.
"""

from __future__ import annotations

import contextvars
import threading
import time
from typing import Any

from ministack.core.responses import get_account_id

from local.emulator.sagemaker_calls import Call, Refused, Request, refuse_unbuilt
from local.emulator.sagemaker_models import CONFIG, MODEL, Models, is_serverless, lister
from local.emulator.sagemaker_names import arn
from local.emulator.sagemaker_replica import Container, NoAnswer, Replica, Replicas, Unhealthy
from local.emulator.sagemaker_resources import Resource, Resources, tags_of

KIND = "endpoint"
_SUMMARY = ("EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus")
_UNBUILT_UPDATE = ("RetainAllVariantProperties", "ExcludeRetainedVariantProperties", "RetainDeploymentConfig")
_UNBUILT_INVOKE = (
    *("CustomAttributes", "TargetModel", "TargetContainerHostname", "EnableExplanations"),
    *("InferenceComponentName", "SessionId", "PrefixAwareId"),
)


class Endpoints:
    """The endpoints of all accounts and regions."""

    def __init__(self, resources: Resources, models: Models, replicas: Replicas) -> None:
        """`replicas` runs the bundles of `models`; what a stopped emulator was in the middle of is settled."""
        self._resources, self._models, self._replicas = resources, models, replicas
        self._lock, self._starting = threading.Lock(), threading.Lock()
        self._serving: dict[str, Replica] = {}
        self.calls: dict[str, Call] = {
            "CreateEndpoint": self._create,
            "DescribeEndpoint": lambda request: models.find(KIND, request["EndpointName"]).shown,
            "UpdateEndpoint": self._update,
            "DeleteEndpoint": self._delete,
            "ListEndpoints": lister(resources, KIND, _SUMMARY, "Endpoints", _has_status),
            "InvokeEndpoint": self._invoke,
        }
        self._settle()

    def _create(self, request: Request) -> Request:
        own, now = arn(KIND, request["EndpointName"]), time.time()
        plan = self._plan(request["EndpointConfigName"])
        shown = {
            "EndpointName": request["EndpointName"],
            "EndpointArn": own,
            "EndpointConfigName": request["EndpointConfigName"],
            "EndpointStatus": "Creating",
            "CreationTime": now,
            "LastModifiedTime": now,
            **_deployment(request),
        }
        endpoint = Resource(own, shown, tags_of(request), {"plan": plan})
        self._models.add(KIND, endpoint)
        _in_background(self._bring_up, endpoint)
        return {"EndpointArn": own}

    def _update(self, request: Request) -> Request:
        refuse_unbuilt("UpdateEndpoint", request, _UNBUILT_UPDATE)
        endpoint = self._models.find(KIND, request["EndpointName"])
        plan = self._plan(request["EndpointConfigName"])
        if is_serverless(endpoint.own["plan"]["config"]) and not is_serverless(plan["config"]):
            message = f"Cannot update the serverless endpoint {endpoint.arn} to one on instances."
            raise Refused("ValidationException", message)
        pending = {"EndpointConfigName": request["EndpointConfigName"], "StartTime": time.time()}
        self._enter(endpoint, "Updating", PendingDeploymentSummary=pending, **_deployment(request))
        _in_background(self._replace, endpoint, plan)
        return {"EndpointArn": endpoint.arn}

    def _delete(self, request: Request) -> Request:
        endpoint = self._models.find(KIND, request["EndpointName"])
        self._enter(endpoint, "Deleting")
        _in_background(self._take_down, endpoint)
        return {}

    def _plan(self, config: str) -> dict[str, Any]:
        """Configuration and model as they are now; the endpoint keeps them whatever becomes of them."""
        shown = self._models.find(CONFIG, config).shown
        model = self._models.find(MODEL, shown["ProductionVariants"][0]["ModelName"])
        return {"config": shown, "model": model.shown}

    def _enter(self, endpoint: Resource, status: str, **shown: Any) -> None:
        """Begin to change an endpoint at rest. Raises Refused where it is not; a failed one can only be deleted."""
        with self._lock:
            now = endpoint.shown["EndpointStatus"]
            if now not in ("InService", "Failed") or (now == "Failed" and status != "Deleting"):
                message = f'Cannot update in-progress endpoint "{endpoint.arn}".'
                failed = f'Cannot update the failed endpoint "{endpoint.arn}": delete it.'
                raise Refused("ValidationException", failed if now == "Failed" else message)
            self._change(endpoint, EndpointStatus=status, **shown)

    def _change(self, endpoint: Resource, without: tuple[str, ...] = (), **shown: Any) -> None:
        self._resources.change(endpoint.arn, {**shown, "LastModifiedTime": time.time()}, without)

    def _bring_up(self, endpoint: Resource) -> None:
        try:
            self._serving[endpoint.arn] = self._replicas.start(_container(endpoint.arn, endpoint.own["plan"]))
        except Unhealthy as reason:
            self._change(endpoint, EndpointStatus="Failed", FailureReason=str(reason)[:1024])
            return
        self._change(endpoint, EndpointStatus="InService", ProductionVariants=_variants(endpoint.own["plan"]))

    def _replace(self, endpoint: Resource, plan: dict[str, Any]) -> None:
        try:
            replica = self._replicas.start(_container(endpoint.arn, plan))
        except Unhealthy as reason:
            shown = {"EndpointStatus": "InService", "FailureReason": str(reason)[:1024]}
            self._change(endpoint, ("PendingDeploymentSummary",), **shown)
            return
        before, self._serving[endpoint.arn] = self._serving.get(endpoint.arn), replica
        self._resources.keep(endpoint.arn, plan=plan)
        shown = {"EndpointStatus": "InService", "EndpointConfigName": plan["config"]["EndpointConfigName"]}
        gone = ("PendingDeploymentSummary", "FailureReason")
        self._change(endpoint, gone, ProductionVariants=_variants(plan), **shown)
        if before is not None:
            before.stop()

    def _take_down(self, endpoint: Resource) -> None:
        replica = self._serving.pop(endpoint.arn, None)
        if replica is not None:
            replica.stop()
        self._resources.remove(endpoint.arn)

    def _invoke(self, request: Request) -> Request:
        refuse_unbuilt("InvokeEndpoint", request, _UNBUILT_INVOKE)
        endpoint = self._resources.find(arn(KIND, request["EndpointName"]))
        if endpoint is None or endpoint.shown["EndpointStatus"] not in ("InService", "Updating"):
            message = f"Endpoint {request['EndpointName']} of account {get_account_id()} not found."
            raise Refused("ValidationError", message)
        variant = endpoint.own["plan"]["config"]["ProductionVariants"][0]["VariantName"]
        if request.get("TargetVariant", variant) != variant:
            raise Refused("ValidationError", f"Variant {request['TargetVariant']} not found for Request.")
        names = {"ContentType": "Content-Type", "Accept": "Accept"}
        headers = {header: request[name] for name, header in names.items() if name in request}
        try:
            status, kind, body = self._replica(endpoint).invoke(request["Body"], headers)
        except (NoAnswer, Unhealthy) as error:
            raise _model_error(500, f"The container does not answer: {error}") from error
        if status != 200:
            raise _model_error(status, body.decode(errors="replace"))
        return {"Body": body, "ContentType": kind, "InvokedProductionVariant": variant}

    def _replica(self, endpoint: Resource) -> Replica:
        """The endpoint's process; one that ended, or ended with an emulator before, starts again."""
        serving = self._serving.get(endpoint.arn)
        if serving is not None and serving.runs:
            return serving
        with self._starting:
            serving = self._serving.get(endpoint.arn)
            if serving is None or not serving.runs:
                serving = self._replicas.start(_container(endpoint.arn, endpoint.own["plan"]))
                self._serving[endpoint.arn] = serving
            return serving

    def _settle(self) -> None:
        """End what a stopped emulator was in the middle of."""
        for endpoint in self._resources.under("arn:aws:sagemaker:"):
            status = endpoint.shown.get("EndpointStatus")
            if status == "Creating":
                self._change(endpoint, EndpointStatus="Failed", FailureReason="The emulator was stopped meanwhile.")
            elif status == "Updating":
                reason = "The emulator was stopped meanwhile."
                self._change(endpoint, ("PendingDeploymentSummary",), EndpointStatus="InService", FailureReason=reason)
            elif status == "Deleting":
                self._resources.remove(endpoint.arn)


def _in_background(work: Any, *arguments: Any) -> None:
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(work, *arguments), name="endpoint", daemon=True).start()


def _has_status(shown: Request, request: Request) -> bool:
    return bool(request.get("StatusEquals", shown["EndpointStatus"]) == shown["EndpointStatus"])


def _deployment(request: Request) -> Request:
    return {"LastDeploymentConfig": request["DeploymentConfig"]} if "DeploymentConfig" in request else {}


def _container(endpoint: str, plan: dict[str, Any]) -> Container:
    model = plan["model"]
    told = model["PrimaryContainer"]
    variant = plan["config"]["ProductionVariants"][0]["VariantName"]
    return Container(endpoint, variant, told["ModelDataUrl"], model["ExecutionRoleArn"], told.get("Environment", {}))


def _variants(plan: dict[str, Any]) -> list[Request]:
    """The variant as DescribeEndpoint shows it while it is in service."""
    variant, image = plan["config"]["ProductionVariants"][0], plan["model"]["PrimaryContainer"]["Image"]
    count, weight = variant.get("InitialInstanceCount", 0), variant.get("InitialVariantWeight", 1.0)
    shown = {
        "VariantName": variant["VariantName"],
        "DeployedImages": [{"SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": time.time()}],
        "CurrentWeight": weight,
        "DesiredWeight": weight,
        "CurrentInstanceCount": count,
        "DesiredInstanceCount": count,
    }
    if "ServerlessConfig" in variant:
        shown |= {f"{when}ServerlessConfig": variant["ServerlessConfig"] for when in ("Current", "Desired")}
    return [shown]


def _model_error(status: int, said: str) -> Refused:
    kind = "client" if status < 500 else "server"
    message = f'Received {kind} error ({status}) from primary with message "{said}".'
    return Refused("ModelError", message, 424, OriginalStatusCode=status, OriginalMessage=said)
