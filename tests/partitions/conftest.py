"""Graph over the simulator, and directories whose users were created when a test says so."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from entra_users.graph import Graph
from entra_users.tokens import Tokens
from simulator import Simulator
from simulator.directory import Directory
from tests.product.conftest import GRAPH, IssuedTokens

SELECT = ["id", "createdDateTime", "displayName"]


def no_pause(seconds: float) -> None:
    """Graph repeats without a pause: how long it waits is another test's business."""
    assert seconds < 1


@pytest.fixture
def graph(azure: Simulator) -> Graph:
    """The tenant's Graph."""
    tokens = Tokens(IssuedTokens(azure))
    return Graph(GRAPH, tokens, budget=100.0, timeout=(5.0, 5.0), sleep=no_pause, jitter=lambda: -1.0)


def begin(azure: Simulator, created: Sequence[str | None] = (), users: int = 0, **directory: Any) -> None:
    """Another directory: generated users, and one more for each of these `createdDateTime`s; no request so far."""
    azure.state.directory = Directory(users, clock=azure.state.clock, **directory)
    for each in created:
        azure.directory.add(createdDateTime=each)
    azure.state.requests.clear()


def by_id(users: Sequence[msgspec.Raw]) -> list[Any]:
    """These users in the order of their ids."""
    return sorted((msgspec.json.decode(user) for user in users), key=lambda user: user["id"])


def everyone(azure: Simulator) -> list[Any]:
    """The users there are, in the order of their ids."""
    return sorted(azure.directory.users(SELECT), key=lambda user: user["id"])


def paths(azure: Simulator) -> list[str]:
    """What was asked of Graph, oldest first."""
    return [each.path.removeprefix("/v1.0/users") for each in azure.requests]
