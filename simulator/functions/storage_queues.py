"""Queues of an Azure Storage account, reached with tokens, as `AzureWebJobsStorage__queueServiceUri` asks for.

https://learn.microsoft.com/en-us/azure/azure-functions/functions-bindings-storage-queue#identity-based-connections
"""

import json
import math
import time
import urllib.request
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode

from azure.core.credentials import AccessToken, TokenCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.identity import DefaultAzureCredential
from azure.storage.queue import (
    BinaryBase64DecodePolicy,
    BinaryBase64EncodePolicy,
    QueueClient,
    QueueMessage,
    QueueServiceClient,
)

from simulator.functions.errors import QueueError
from simulator.functions.queues import Message

# Someone else took the message over, or it is gone: it is theirs now.
NOT_OURS = {"PopReceiptMismatch", "MessageNotFound", "QueueNotFound"}


class IdentityEndpoint:
    """A credential that asks the App Service managed-identity endpoint named in the settings.

    azure-identity's own reads this process's environment, and the settings are those of the app.
    https://learn.microsoft.com/en-us/azure/app-service/overview-managed-identity#rest-endpoint-reference
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._endpoint = settings["IDENTITY_ENDPOINT"]
        self._header = settings.get("IDENTITY_HEADER", "")
        self._client_id = settings.get("AzureWebJobsStorage__clientId")

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        """Ask for a token; the caller keeps it for as long as it is valid."""
        query = {"api-version": "2019-08-01", "resource": scopes[0].removesuffix("/.default")}
        if self._client_id:
            query["client_id"] = self._client_id
        # The endpoint is on this machine, and plain http by design.
        request = urllib.request.Request(  # noqa: S310
            f"{self._endpoint}?{urlencode(query)}", headers={"X-IDENTITY-HEADER": self._header}
        )
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(request, timeout=10) as response:
                token: dict[str, Any] = json.load(response)
        except OSError as error:
            if isinstance(error, HTTPError):
                error.close()
            raise ClientAuthenticationError(f"the managed-identity endpoint gave no token: {error}") from error
        return AccessToken(token["access_token"], int(token.get("expires_on", time.time() + 300)))


class StorageQueues:
    """The queues of one storage account.

    `changed` is called after a message became visible. Methods raise QueueError when the account cannot be reached or
    refuses.
    """

    def __init__(self, service: QueueServiceClient, changed: Callable[[], object] = lambda: None) -> None:
        self._service = service
        self._changed = changed
        self._clients = dict[str, QueueClient]()

    def put(self, queue: str, body: bytes) -> None:
        """Add a message, to a new queue where there was none."""
        client = self._client(queue)
        with _refusals(queue):
            try:
                client.send_message(body)
            except ResourceNotFoundError:
                client.create_queue()
                client.send_message(body)
        self._changed()

    def receive(self, queue: str, count: int, hold: float) -> list[Message]:
        """Take up to `count` visible messages, and hide them for `hold` seconds, at least one and whole ones."""
        seconds = max(1, math.ceil(hold))
        with _refusals(queue):
            pages = self._client(queue).receive_messages(messages_per_page=count, visibility_timeout=seconds).by_page()
            try:
                return [_message(queue, each) for each in next(pages, ())]
            except ResourceNotFoundError:
                return []

    def renew(self, message: Message, hold: float) -> Message:
        """Hide a message that was received for `hold` seconds from now, and return it with its new receipt."""
        client, seconds = self._client(message.queue), max(0, math.ceil(hold))
        with _refusals(message.queue):
            renewed = client.update_message(message.id, message.pop_receipt, visibility_timeout=seconds)
            return replace(
                message, pop_receipt=renewed.pop_receipt or "", next_visible=renewed.next_visible_on or message.expires
            )
        return message

    def release(self, message: Message, delay: float) -> None:
        """Make a message that was received visible again after `delay` seconds."""
        self.renew(message, delay)
        self._changed()

    def delete(self, message: Message) -> None:
        """Remove a message that was received."""
        with _refusals(message.queue):
            self._client(message.queue).delete_message(message.id, message.pop_receipt)

    def peek(self, queue: str) -> list[Message]:
        """Return up to 32 visible messages, and leave them."""
        with _refusals(queue):
            try:
                return [_message(queue, each) for each in self._client(queue).peek_messages(max_messages=32)]
            except ResourceNotFoundError:
                return []

    def count(self, queue: str) -> int:
        """Return how many messages there are, hidden ones included."""
        with _refusals(queue):
            try:
                return self._client(queue).get_queue_properties().approximate_message_count or 0
            except ResourceNotFoundError:
                return 0

    def close(self) -> None:
        """Close the connections."""
        self._service.close()

    def _client(self, queue: str) -> QueueClient:
        if queue not in self._clients:
            self._clients[queue] = self._service.get_queue_client(
                queue,
                message_encode_policy=BinaryBase64EncodePolicy(),
                message_decode_policy=BinaryBase64DecodePolicy(),
            )
        return self._clients[queue]


def storage_queues(settings: Mapping[str, str], changed: Callable[[], object]) -> StorageQueues:
    """Open the account of `AzureWebJobsStorage__queueServiceUri`, through the proxy and CA bundle of the settings."""
    credential: TokenCredential = (
        IdentityEndpoint(settings) if settings.get("IDENTITY_ENDPOINT") else DefaultAzureCredential()
    )
    proxy = settings.get("HTTPS_PROXY") or settings.get("https_proxy")
    service = QueueServiceClient(
        settings["AzureWebJobsStorage__queueServiceUri"],
        credential=credential,
        proxies={"https": proxy} if proxy else None,
        connection_verify=settings.get("REQUESTS_CA_BUNDLE") or True,
        # Only the app's settings count here, and not this process's environment.
        use_env_settings=False,
        # Whoever polls or delivers a message tries again by itself, and sooner.
        retry_total=0,
    )
    return StorageQueues(service, changed)


def _message(queue: str, received: QueueMessage) -> Message:
    never = datetime.max.replace(tzinfo=UTC)
    return Message(
        queue=queue,
        id=str(received.id),
        body=received.content,
        dequeue_count=received.dequeue_count or 0,
        inserted=received.inserted_on or never,
        expires=received.expires_on or never,
        next_visible=received.next_visible_on or never,
        pop_receipt=received.pop_receipt or "",
    )


@contextmanager
def _refusals(queue: str) -> Generator[None]:
    try:
        yield
    except HttpResponseError as error:
        if getattr(error, "error_code", None) in NOT_OURS:
            return
        answer = f"answered {error.status_code}: {error.reason}" if error.status_code else f"was not reached: {error}"
        raise QueueError(f"The queue '{queue}' {answer}.") from error
    except AzureError as error:
        raise QueueError(f"The queue '{queue}' was not reached: {error.message}.") from error
