"""A simulated tenant in a process of its own, so that what it costs is not counted with what is measured."""

import http.client
import json
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

from bench.measuring import ROOT, Failed, base_environment

GRAPH_HOST = "graph.microsoft.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """Where the tenant is, and how it is dealt with.

    Attributes:
        users: how many it has at first.
        environment: of a program that reads it: the way there, and the app's settings.
        secret: the app's client secret, for programs that are given one.
        queues: settings of the queues of the Functions host.
        queues_are: what they are.
    """

    users: int
    environment: Mapping[str, str]
    secret: str = field(repr=False)
    queues: Mapping[str, str]
    queues_are: str
    address: str

    def control(self, name: str, order: Mapping[str, Any] | None = None) -> Any:
        """Ask, or with an order change, how things stand; see simulator/control.py.

        Raises:
            Failed: the order was refused.
        """
        with closing(http.client.HTTPConnection(self.address, timeout=300)) as connection:
            body = None if order is None else json.dumps(order)
            connection.request("GET" if body is None else "POST", f"/control/{name}", body)
            response = connection.getresponse()
            answer = json.load(response)
        if response.status != 200:
            raise Failed(f"The tenant refused {name}: {answer}")
        return answer

    def graph_requests(self) -> int:
        """How many requests Graph has had."""
        return sum(self.control("requests").get(GRAPH_HOST, {}).values())


@contextmanager
def tenant(users: int, *, latency: float = 0.0, azurite: bool = False) -> Generator[Tenant]:
    """A tenant with so many generated users.

    Args:
        users: how many.
        latency: seconds that Graph waits before each answer.
        azurite: whether it has an account with queues too, where that can be.

    Raises:
        Failed: it did not start.
    """
    command = [sys.executable, "-m", "bench.serve", "--users", str(users), "--latency", str(latency)]
    command += ["--azurite"] if azurite else []
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=base_environment(), cwd=ROOT
    ) as process:
        # Leaving the block closes its standard input, at which it ends.
        assert process.stdout is not None  # noqa: S101 -- it was asked for
        line = process.stdout.readline()
        if not line:
            raise Failed("The simulated tenant did not start; it says why above.")
        told = json.loads(line)
        yield Tenant(
            users=users,
            environment=base_environment() | told["environment"],
            secret=told["secret"],
            queues=told["queues"],
            queues_are=told["queues_are"],
            address=told["address"],
        )
