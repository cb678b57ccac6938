"""A store that is a container of Azure Blob Storage, reached with the app's own identity and without a key.

The only module that knows azure-storage-blob. The SDK repeats what fails in passing, and a repeated conditional write
may meet its own first attempt, whose answer was lost: a mark in the object's metadata tells it from another's.
https://learn.microsoft.com/en-us/rest/api/storageservices/specifying-conditional-headers-for-blob-service-operations
"""

import io
import secrets
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, BinaryIO, override

from azure.core import MatchConditions
from azure.core.exceptions import ResourceNotFoundError
from azure.core.pipeline import PipelineResponse
from azure.storage.blob import (
    BlobBlock,
    BlobClient,
    BlobSasPermissions,
    BlobServiceClient,
    ExponentialRetry,
    UserDelegationKey,
    generate_blob_sas,
)

from entra_users.blob_errors import Identity, named
from entra_users.errors import ObjectChanged, ObjectNotFound
from entra_users.store import Stored, check_name, check_prefix, is_name

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer
    from azure.core.credentials import TokenCredential

_BLOCK = 4 * 1024 * 1024
_BUFFER = 256 * 1024
_MARK = "written_by"

# One key signs many links. https://learn.microsoft.com/en-us/rest/api/storageservices/get-user-delegation-key
_KEY_LIFETIME = timedelta(hours=1)
# Clocks differ: what begins now may begin in the service's future.
# https://learn.microsoft.com/en-us/azure/storage/common/storage-sas-overview#best-practices-when-using-sas
_CLOCK_SKEW = timedelta(minutes=15)


class BlobStore:
    """Objects as block blobs whose names begin with `prefix`, which is empty or ends in a slash.

    Args:
        account_url: the account's Blob endpoint.
        container: which must exist.
        prefix: of every name.
        credential: gives what to reach it with, when it is first needed.
        clock: the time, aware.
        backoff: unit of the waits between the four attempts of a request: about 3, 5 and 9 of it, in seconds.
        timeout: seconds without a byte after which an attempt has failed.
    """

    def __init__(
        self,
        account_url: str,
        container: str,
        prefix: str,
        credential: "Callable[[], TokenCredential]",
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        backoff: int = 1,
        timeout: float = 30,
    ) -> None:
        self._account_url = account_url
        self._container = container
        self._prefix = prefix
        self._credential = credential
        self._clock = clock
        self._retry = ExponentialRetry(initial_backoff=backoff, increment_base=2 * backoff, random_jitter_range=backoff)
        self._timeout = timeout
        self._key: tuple[UserDelegationKey, datetime] | None = None
        self._key_lock = threading.Lock()

    def read(self, name: str) -> Stored:
        """The whole of a small object."""
        download = _Download(self._blob(name))
        return Stored(data=download.readall(), etag=download.etag)

    @contextmanager
    def open(self, name: str) -> Generator[BinaryIO]:
        """An object as a stream, asked for in ranges of the one ETag."""
        with io.BufferedReader(_Download(self._blob(name)), _BUFFER) as stream:
            yield stream

    @contextmanager
    def create(self, name: str, *, replace: bool = False) -> Generator[BinaryIO]:
        """A writer for a new object: blocks that nobody sees until they are committed together."""
        blob = self._blob(name)
        blocks = _Blocks(blob)
        writer = io.BufferedWriter(blocks, _BLOCK)
        try:
            yield writer
            writer.flush()
        except BaseException:
            blocks.abandoned = True
            raise
        finally:
            writer.close()
        _put(blob, partial(blob.commit_block_list, blocks.staged), {} if replace else _condition(None))

    def swap(self, name: str, data: bytes, etag: str | None) -> str:
        """Write a small object if it still is what `etag` stands for."""
        blob = self._blob(name)
        return _put(blob, partial(blob.upload_blob, data, overwrite=True), _condition(etag))

    def names(self, prefix: str = "") -> list[str]:
        """The names that begin with `prefix`, sorted; blobs that no store could have written are passed over."""
        container = self._service.get_container_client(self._container)
        start = self._prefix + check_prefix(prefix)
        with named("list", container):
            blobs = list(container.list_blobs(name_starts_with=start, include=["metadata"]))
        # An account with a hierarchical namespace lists its folders too.
        objects = [blob.name for blob in blobs if "hdi_isfolder" not in (blob.metadata or {})]
        return sorted(filter(is_name, (name.removeprefix(self._prefix) for name in objects)))

    def delete(self, name: str) -> None:
        """Remove an object."""
        blob = self._blob(name)
        with suppress(ObjectNotFound), named("remove", blob):
            blob.delete_blob()

    def link(self, name: str, lifetime: float) -> str | None:
        """A shared access signature on behalf of the app's identity, which allows no more than reading.

        https://learn.microsoft.com/en-us/azure/storage/blobs/storage-blob-user-delegation-sas-create-python
        """
        blob, now = self._blob(name), self._clock()
        until = now + timedelta(seconds=lifetime)
        signature = generate_blob_sas(
            account_name=str(self._service.account_name),
            container_name=self._container,
            blob_name=self._prefix + name,
            user_delegation_key=self._delegation_key(now, until),
            permission=BlobSasPermissions(read=True),
            start=now - _CLOCK_SKEW,
            expiry=until,
            protocol="https",
            content_disposition=f'attachment; filename="{name.rpartition("/")[2]}"',
        )
        return f"{blob.url}?{signature}"

    @cached_property
    def _service(self) -> BlobServiceClient:
        return BlobServiceClient(
            self._account_url,
            Identity(self._credential()),
            max_single_get_size=_BLOCK,
            max_chunk_get_size=_BLOCK,
            retry_policy=self._retry,
            connection_timeout=self._timeout,
            read_timeout=self._timeout,
        )

    def _blob(self, name: str) -> BlobClient:
        return self._service.get_blob_client(self._container, self._prefix + check_name(name))

    def _delegation_key(self, now: datetime, until: datetime) -> UserDelegationKey:
        with self._key_lock:
            if self._key is None or self._key[1] < until:
                expiry = until + _KEY_LIFETIME
                with named("get a key for links to", self._service):
                    self._key = self._service.get_user_delegation_key(now - _CLOCK_SKEW, expiry), expiry
            return self._key[0]


class _Download(io.RawIOBase):
    """A blob as a raw stream."""

    def __init__(self, blob: BlobClient) -> None:
        self._blob = blob
        with named("read", blob):
            self._download = blob.download_blob(max_concurrency=1, raw_response_hook=_take_refusal)
        self.etag: str = self._download.properties.etag

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer).cast("B")
        with named("read", self._blob):
            data = self._download.read(len(view))
        view[: len(data)] = data
        return len(data)


class _Blocks(io.RawIOBase):
    """A raw stream whose writes become staged blocks; once `abandoned`, it drops what is still to be written.

    The blocks' ids are this writer's own: the service keeps those of all writers of a name together.
    """

    def __init__(self, blob: BlobClient) -> None:
        self.staged: list[BlobBlock] = []
        self.abandoned = False
        self._blob = blob
        self._writer = secrets.token_hex(8)

    @override
    def writable(self) -> bool:
        return True

    @override
    def write(self, b: "ReadableBuffer", /) -> int:
        block = bytes(memoryview(b)[:_BLOCK])
        if not self.abandoned:
            name = f"{self._writer}-{len(self.staged):05}"
            with named("write", self._blob):
                self._blob.stage_block(name, block)
            self.staged.append(BlobBlock(name))
        return len(block)


def _take_refusal(answer: PipelineResponse[Any, Any]) -> None:
    """Read a refused attempt's body: a download's is left on the wire by the SDK, and its connection with it."""
    if answer.http_response.status_code >= 400:
        answer.http_response.read()


def _condition(etag: str | None) -> dict[str, Any]:
    if etag is None:
        return {"match_condition": MatchConditions.IfMissing}
    return {"match_condition": MatchConditions.IfNotModified, "etag": etag}


def _put(blob: BlobClient, request: Callable[..., dict[str, Any]], condition: dict[str, Any]) -> str:
    """Make the one request that puts an object in its place; the new ETag."""
    mark = secrets.token_hex(8)
    try:
        with named("write", blob):
            return request(metadata={_MARK: mark}, **condition)["etag"]
    except ObjectChanged:
        with named("read back", blob):
            try:
                found = blob.get_blob_properties()
            except ResourceNotFoundError:
                found = None
        if found is None or found.metadata.get(_MARK) != mark:
            raise
        return found.etag
