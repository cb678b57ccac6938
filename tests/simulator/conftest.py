"""Fixtures for the tests of the simulator's Graph."""

from collections.abc import Iterator

import pytest

from simulator import Simulator
from tests.simulator.graph_client import GraphClient


@pytest.fixture(scope="module")
def graph_client(_simulator: Simulator) -> Iterator[GraphClient]:
    """A client whose `start` each example of a property begins with."""
    client = GraphClient(_simulator)
    yield client
    client.close()


@pytest.fixture
def graph(graph_client: GraphClient) -> GraphClient:
    """A client of a fresh simulated Graph with 250 users."""
    graph_client.start(250)
    return graph_client
