"""A store in a folder, and Graph over the simulator."""

from pathlib import Path

import pytest

from entra_users.graph import Graph
from entra_users.store import Store, open_store
from entra_users.tokens import Tokens
from simulator import Simulator
from tests.product.conftest import GRAPH, IssuedTokens


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store in a folder."""
    return open_store(str(tmp_path / "users"))


@pytest.fixture
def graph(azure: Simulator) -> Graph:
    """The tenant's Graph, which repeats without a pause."""

    def no_pause(seconds: float) -> None:
        assert seconds < 1

    tokens = Tokens(IssuedTokens(azure))
    return Graph(GRAPH, tokens, budget=100.0, timeout=(5.0, 5.0), sleep=no_pause, jitter=lambda: -1.0)
