"""Azure Storage's emulator behind the simulator's proxy."""

import uuid

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.queue import QueueClient

from entra_users.identity import azure_credential
from simulator import Simulator
from simulator.azurite import Azurite, missing
from tests.store.conftest import identity_of


def test_a_queue_passes_messages_on_to_the_managed_identity(azure: Simulator, azurite: Azurite) -> None:
    url = azurite.create_queue(f"start-{uuid.uuid4()}")
    assert url.startswith("https://account.queue.core.windows.net/start-")
    with QueueClient.from_queue_url(url, identity_of(azure)()) as queue:
        queue.send_message("begin")
        message = queue.receive_message()
        assert message is not None
        assert (message.content, message.dequeue_count) == ("begin", 1)
        queue.delete_message(message)
        assert queue.receive_message() is None


def test_a_queue_refuses_a_token_for_something_else(azure: Simulator, azurite: Azurite) -> None:
    url = azurite.create_queue(f"start-{uuid.uuid4()}")
    identity = azure_credential(azure.entra.identity.client_id)

    class Elsewhere:
        def get_token(self, *_scopes: str, **_options: object) -> object:
            return identity.get_token("https://vault.azure.net/.default")

    with (
        QueueClient.from_queue_url(url, Elsewhere()) as queue,  # pyright: ignore[reportArgumentType]
        pytest.raises(HttpResponseError) as caught,
    ):
        queue.send_message("begin")
    assert caught.value.status_code in {401, 403}


def test_accounts_share_no_containers(azure: Simulator, azurite: Azurite) -> None:
    with Azurite(azure, accounts=["first", "second"]) as storage:
        assert storage.create_container("users") == "https://first.blob.core.windows.net/users"
        assert storage.create_container("users", account="second") == "https://second.blob.core.windows.net/users"


def test_without_node_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert missing() == "Azurite needs Node.js, 20 or later, which is not on the PATH"
