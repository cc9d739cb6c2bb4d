"""ARNs of SageMaker's things in the account and region of the call that is being answered."""

from __future__ import annotations

from ministack.core.responses import get_account_id, get_region


def arn(kind: str, name: str) -> str:
    """The ARN of a thing (`kind` as in ARNs: `training-job`); `name` may be that ARN already."""
    if name.startswith("arn:"):
        return name
    return f"arn:aws:sagemaker:{get_region()}:{get_account_id()}:{kind}/{name}"
