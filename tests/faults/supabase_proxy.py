"""A proxy on loopback in front of the local Supabase: passes requests on, and puts faults in by script."""

import json
import math
import re
import urllib.error
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from local.laptop import SECRET
from tests.faulty_rest import Fault, serve, table_of
from tests.laptop_target import LaptopTarget

PASSED_ON = ("apikey", "authorization", "accept")
SOUND = Fault()


@dataclass(frozen=True)
class Injection:
    """A fault of `times` requests of a table (None: of any) from number `at` on, which counts from 0."""

    fault: Fault
    table: str | None = None
    at: int = 0
    times: float = 1

    def meets(self, table: str, number: int) -> bool:
        return self.table in {None, table} and self.at <= number < self.at + self.times


@dataclass
class Proxy:
    """The script, and what has come of it: the requests of each table, injected faults by their place in the script."""

    upstream: str
    script: Sequence[Injection]
    requests: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    injected: Counter[int] = field(default_factory=Counter)
    url: str = ""

    def fault(self, path: str) -> Fault:
        table = table_of(path)
        number = len(self.requests[table])
        self.requests[table].append(path)
        for place, injection in enumerate(self.script):
            if injection.meets(table, number):
                self.injected[place] += 1
                return injection.fault
        return SOUND

    def answer(self, path: str, headers: Mapping[str, str], cap: int | None) -> tuple[int, bytes]:
        passed = {name: headers[name] for name in PASSED_ON if name in headers}
        capped = re.sub(r"(?<=\blimit=)\d+", lambda limit: str(min(int(limit[0]), cap or math.inf)), path)
        request = urllib.request.Request(self.upstream + capped, headers=passed)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()


@contextmanager
def in_front_of(upstream: str, *script: Injection) -> Iterator[Proxy]:
    """Serves until the block ends."""
    with serve(Proxy(upstream, script)) as proxy:
        yield proxy


def always(fault: Fault) -> Injection:
    """That fault of every request."""
    return Injection(fault, times=math.inf)


@contextmanager
def before_the_source(laptop: LaptopTarget, fault: Fault) -> Iterator[None]:
    """A stack's source has that fault of every request until the block ends."""
    secret = laptop.client("secretsmanager").get_secret_value(SecretId=SECRET)
    with (
        in_front_of(json.loads(secret["SecretString"])["url"], always(fault)) as proxy,
        laptop.secret(lambda fields: {**fields, "url": proxy.url}),
    ):
        yield
