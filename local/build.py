"""`python -m local.build`: makes the application as `sam deploy` ships it and validates it. Deploys nothing."""

import sys

from ratchet.errors import RatchetError

from local import environments
from local.deploy import Application, build, validate
from local.paths import CHECKOUT, default_paths


def main() -> int:
    """Builds what changed; 1 with one line on standard error when that fails."""
    paths = default_paths()
    try:
        sam = environments.ensure(environments.SAM, paths, print).parent / "sam"
        application = Application(CHECKOUT, endpoint="", stack="", sam=sam)
        build(application, print)
        validate(application, print)
    except RatchetError as error:
        print(f"local.build: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
