"""Taking a target away whole: what CloudFormation leaves behind goes too, and what stays is named."""

import shutil

from botocore.exceptions import WaiterError

from cli.buckets import empty
from cli.errors import CommandError
from cli.output import Progress
from cli.targets import Target

WAIT = {"Delay": 5, "MaxAttempts": 240}


def destroy_laptop() -> dict[str, list[str]]:
    """Stops every process and removes the state; the tools stay installed for the next `up`."""
    from local import postgres
    from local.laptop import down
    from local.paths import default_paths

    paths = default_paths()
    stopped = [f"process {name}" for name in down(paths)]
    if paths.state.exists():
        # It may keep its data elsewhere, and with other keys they would be of no use.
        postgres.forget(paths)
        shutil.rmtree(paths.state)
        stopped.append(f"{paths.state} (data, models, logs)")
    kept = [f"{paths.root / 'envs'} (installed tools)"] if (paths.root / "envs").exists() else []
    return {"removed": stopped, "kept": kept}


def destroy_stack(target: Target, progress: Progress) -> dict[str, list[str]]:
    """Deletes a stack and the landing bucket that it made; a bucket that was only named is left as it is.

    Raises CommandError when CloudFormation cannot delete the stack.
    """
    bucket, own = target.output("LandingBucket"), target.output("LandingBucketIsOurs") == "true"
    formation, s3 = target.client("cloudformation"), target.client("s3")
    # Switched off first: a schedule that fires half-way would write into the bucket that is being emptied.
    progress("Deleting the stack")
    formation.delete_stack(StackName=target.stack)
    try:
        formation.get_waiter("stack_delete_complete").wait(StackName=target.stack, WaiterConfig=WAIT)
    except WaiterError as error:
        raise CommandError(f"CloudFormation could not delete {target.stack}; its events say why ({error}).") from error
    removed, kept = [f"stack {target.stack}"], []
    if own:
        progress(f"Emptying {bucket}")
        count = empty(s3, bucket)
        s3.delete_bucket(Bucket=bucket)
        removed.append(f"bucket {bucket} with {count} object versions")
    else:
        kept.append(f"bucket {bucket}, which the stack did not make")
    return {"removed": removed, "kept": kept}
