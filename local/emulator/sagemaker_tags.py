"""AddTags and ListTags, for whatever has an ARN."""

from __future__ import annotations

from local.emulator.sagemaker_calls import Call, Refused, Request
from local.emulator.sagemaker_resources import Resources, tags_of
from local.emulator.sagemaker_training import TrainingJobs


class Tags:
    """The tags of training jobs and of all other resources."""

    def __init__(self, jobs: TrainingJobs, resources: Resources) -> None:
        """Where the tagged things are."""
        self._jobs, self._resources = jobs, resources
        self.calls: dict[str, Call] = {"AddTags": self._add, "ListTags": self._list}

    def _add(self, request: Request) -> Request:
        tagged = self._tags(request["ResourceArn"])
        if ":training-job/" in request["ResourceArn"]:
            tagged.update(tags_of(request))
        else:
            self._resources.tag(request["ResourceArn"], tags_of(request))
        return self._list(request)

    def _list(self, request: Request) -> Request:
        tags = self._tags(request["ResourceArn"])
        return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}

    def _tags(self, arn: str) -> dict[str, str]:
        if ":training-job/" in arn:
            return self._jobs.job(arn).tags
        found = self._resources.find(arn)
        if found is None:
            raise Refused("ValidationException", f"Could not find the resource {arn!r}.")
        return found.tags
