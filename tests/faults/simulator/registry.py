"""The model registry of a simulated world, whoever decides in it, and whoever is told of a decision."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ratchet.errors import BadConfiguration
from ratchet.registry.package import APPROVED, PENDING, Package

from tests.faults.simulator.services import Client

GROUP = "arn:aws:sagemaker:us-east-1:123456789012:model-package/stack-models"


class Packages:
    """All packages. `approved` are the steps of the world from and to which each was, to None: it still is."""

    def __init__(self, world: Any) -> None:
        self._world = world
        self.packages: dict[str, Package] = {}
        self.tokens: dict[str, str] = {}
        self.approved: dict[str, list[tuple[int, int | None]]] = {}

    def copy_to(self, other: "Packages") -> None:
        """Hands over what there is."""
        other.packages, other.tokens = dict(self.packages), dict(self.tokens)
        other.approved = {arn: list(times) for arn, times in self.approved.items()}

    def create(self, token: str, model_uri: str, facts: Mapping[str, str]) -> str:
        """A pending package; the same one for the same token."""
        if token not in self.tokens:
            arn = self.tokens[token] = f"{GROUP}/{len(self.packages) + 1}"
            self.packages[arn] = Package(arn, PENDING, dict(facts), model_uri)
            self.approved[arn] = []
            self._world.package_registered(arn)
        return self.tokens[token]

    def sign(self, arn: str, status: str, why: str, by: str) -> None:
        """A decision, which may be another than the last one."""
        if arn not in self.packages:
            raise BadConfiguration(f"ModelPackage {arn} does not exist.")
        before, step = self.packages[arn].status, self._world.bucket.step
        self.packages[arn] = replace(self.packages[arn], status=status, why=why)
        times = self.approved[arn]
        if status == APPROVED != before:
            times.append((step, None))
        elif before == APPROVED != status:
            times[-1] = times[-1][0], step
        self._world.watch.package_signed(arn, status, by)
        if before != status:
            self._world.package_decided(arn)

    def was_approved(self, arn: str, since: int) -> bool:
        """Whether it was approved at any moment from that step on."""
        return any(end is None or end >= since for _, end in self.approved[arn])

    def of_model(self, model_uri: str) -> Package | None:
        """The package of a model."""
        return next((each for each in self.packages.values() if each.model_uri == model_uri), None)


class RegistryClient(Client):
    """`Registry` for one process."""

    def create(self, token: str, model_uri: str, evaluation_uri: str, facts: Mapping[str, str], about: str) -> str:
        return self.change("register", model_uri, lambda: self._packages.create(token, model_uri, facts))

    def find(self, arn: str) -> Package | None:
        self.look("describe", arn)
        return self._packages.packages.get(arn)

    def decide(self, arn: str, status: str, why: str) -> None:
        self.change("sign", f"{arn} {status}", lambda: self._packages.sign(arn, status, why, self.process.name))

    @property
    def _packages(self) -> Packages:
        packages: Packages = self.world.packages
        return packages
