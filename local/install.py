"""`python -m local.install`: every environment of the laptop target, made now instead of by the first `ratchet up`."""

import sys

from ratchet.errors import RatchetError

from local import environments, node
from local.environments import Progress
from local.paths import Paths, default_paths


def install(paths: Paths, progress: Progress) -> None:
    """Makes what is missing or outdated. Raises BadConfiguration and Unavailable, each one line with the remedy."""
    paths.prepare()
    for recipe in environments.RECIPES:
        environments.ensure(recipe, paths, progress)
    node.ensure_packages(node.ensure_node(paths, progress), paths, progress)


def main() -> int:
    """1 with one line on standard error when something cannot be had."""
    try:
        install(default_paths(), print)
    except RatchetError as error:
        print(f"local.install: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
