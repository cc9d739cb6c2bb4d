"""The environment variables a function sees: AWS's reserved ones, its role's credentials, its own; not the host's."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_RUNTIME = "python3.12"


@dataclass(frozen=True)
class Function:
    """One version of a function, ready to run; equal functions may share warm processes."""

    name: str
    version: str
    handler: str
    timeout: int
    """Seconds."""
    memory: int
    """MB, as configured."""
    code: Path
    layers: tuple[Path, ...]
    """In the order of the configuration: of two layers with the same module, the later one wins, as on AWS."""
    variables: tuple[tuple[str, str], ...]

    @property
    def environment(self) -> dict[str, str]:
        """The variables of its processes."""
        return dict(self.variables)


def search_path(layers: Sequence[Path]) -> str:
    """`PYTHONPATH` of a function: what AWS finds under /opt, the last layer first."""
    inside = (f"lib/{_RUNTIME}/site-packages", "")
    return os.pathsep.join(str(layer / "python" / part) for layer in reversed(layers) for part in inside)


def variables(
    config: Mapping[str, object], code: Path, layers: Sequence[Path], credentials: Mapping[str, str], endpoint: str
) -> dict[str, str]:
    """The whole environment of the function that `config` (as GetFunctionConfiguration returns it) describes."""
    name, version = str(config["FunctionName"]), str(config.get("Version", "$LATEST"))
    region = str(config["FunctionArn"]).split(":")[3]
    own = _own(config)
    opt = [str(layer) for layer in reversed(layers)]
    return {
        "PATH": os.pathsep.join(["/usr/local/bin", "/usr/bin", "/bin", *(f"{layer}/bin" for layer in opt)]),
        "LD_LIBRARY_PATH": os.pathsep.join([str(code), f"{code}/lib", *(f"{layer}/lib" for layer in opt)]),
        "LANG": "C.UTF-8",
        "TZ": ":UTC",
        "AWS_ENDPOINT_URL": endpoint,
        **own,
        "PYTHONPATH": os.pathsep.join(filter(None, [own.get("PYTHONPATH"), search_path(layers)])),
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{_RUNTIME}",
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_VERSION": version,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(config.get("MemorySize", 128)),
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(config.get("Timeout", 3)),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
        "LAMBDA_TASK_ROOT": str(code),
        **credentials,
    }


def _own(config: Mapping[str, object]) -> dict[str, str]:
    declared = config.get("Environment")
    values = declared.get("Variables") if isinstance(declared, Mapping) else None
    return {str(key): str(value) for key, value in (values or {}).items()}
