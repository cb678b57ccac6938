"""Where the snapshots live: objects under names like `runs/<run>/plan.json`, in a folder or in a Blob container.

An object is read whole or not at all: it shows under its name only once it is complete and safe.
"""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol
from urllib.parse import urlsplit

from entra_users.errors import SettingsError, StoreError

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

# What both a Blob container and every file system take literally: no empty, hidden or dot segment, no separator but
# the slash, no trailing dot (Windows drops it), no device of Windows (CON, NUL, ...) under any extension.
_SEGMENT = r"(?!(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|/|$))[a-z0-9](?:[a-z0-9._=-]{0,118}[a-z0-9_=-])?"
_NAME = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT}){{0,7}}", re.IGNORECASE | re.ASCII)

# The Blob endpoints of the clouds; elsewhere no token for storage is sent.
# https://learn.microsoft.com/en-us/azure/storage/common/storage-account-overview#storage-account-endpoints
# https://learn.microsoft.com/en-us/azure/azure-government/compare-azure-government-global-azure#guidance-for-developers
# https://learn.microsoft.com/en-us/azure/china/resources-developer-guide#check-endpoints-in-azure
_BLOB_HOST = re.compile(
    r"[a-z0-9]{3,24}(\.z\d+\.blob\.storage\.azure\.net|\.blob\.core\.(windows\.net|usgovcloudapi\.net|chinacloudapi\.cn))"
)
# https://learn.microsoft.com/en-us/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata
_CONTAINER = re.compile(r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An object's bytes, and the ETag that stands for exactly these."""

    data: bytes
    etag: str


class Store(Protocol):
    """Objects by name. Every method may raise StoreDenied, StoreFull, StoreUnavailable or StoreError."""

    def read(self, name: str) -> Stored:
        """The whole of a small object, with the ETag to swap it by.

        Raises:
            ObjectNotFound: there is none.
        """
        ...

    def open(self, name: str) -> AbstractContextManager[BinaryIO]:
        """An object as a stream, which holds no more than a few megabytes at a time.

        Raises:
            ObjectNotFound: there is none.
            ObjectChanged: it was written anew while it was read.
        """
        ...

    def create(self, name: str, *, replace: bool = False) -> AbstractContextManager[BinaryIO]:
        """A writer for a new object, which is there when the block ends, and not at all when it ends by an exception.

        Raises:
            ObjectChanged: at the end of the block: there is such an object and `replace` was not asked for, or another
                writer of the same name ended first.
        """
        ...

    def swap(self, name: str, data: bytes, etag: str | None) -> str:
        """Write a small object if it still is what `etag` stands for, or does not exist for None; its new ETag.

        After StoreUnavailable nobody knows whether the object was written: read it before the next attempt.

        Raises:
            ObjectChanged: it is another's by now; nothing was written.
        """
        ...

    def names(self, prefix: str = "") -> list[str]:
        """The names that begin with `prefix`, sorted."""
        ...

    def delete(self, name: str) -> None:
        """Remove an object; one that is not there is no error."""
        ...

    def link(self, name: str, lifetime: float) -> str | None:
        """A URL that lets whoever holds it read this one object for `lifetime` seconds, so treat it as a secret.

        None where the store gives no links: then serve the bytes.
        """
        ...


def open_store(location: str, *, credential: "Callable[[], TokenCredential] | None" = None) -> Store:
    """The store at `location`: a folder's path, or `https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX`.

    Nothing is read, written or sent before the first use.

    Args:
        location: where; a container must exist, a folder is made by the first write.
        credential: gives what to reach Blob storage with, when it is first needed. No keys, no SAS.

    Raises:
        SettingsError: the location is neither.
    """
    # Lazy: a folder needs no Azure, and the SDK takes 0.3 s to import.
    if "://" not in location:
        from entra_users.folder_store import FolderStore  # noqa: PLC0415

        if not location.strip():
            raise SettingsError(["USERS_STORE is empty: give a folder or the https:// address of a Blob container."])
        return FolderStore(Path(location))

    from entra_users.blob_store import BlobStore  # noqa: PLC0415

    if credential is None:
        raise TypeError("a Blob container is reached with a credential")
    account, container, prefix = _blob_location(location)
    return BlobStore(account, container, prefix, credential)


def check_name(name: str) -> str:
    """The name itself, if no store can take it for anything else, such as a path that leads outside.

    Raises:
        StoreError: no object can have it.
    """
    if not is_name(name):
        raise StoreError(f"{name!r} cannot be the name of a stored object.")
    return name


def check_prefix(prefix: str) -> str:
    """The prefix itself, if names can begin with it.

    Raises:
        StoreError: none can.
    """
    if not is_name(f"{prefix}0"):
        raise StoreError(f"{prefix!r} cannot be the beginning of a stored object's name.")
    return prefix


def is_name(name: str) -> bool:
    """Whether an object can have this name: one to eight segments of letters, digits, `.`, `_`, `-` and `=`."""
    return _NAME.fullmatch(name) is not None


def _blob_location(location: str) -> tuple[str, str, str]:
    """Account URL, container and prefix of a container's address; the prefix is empty or ends in a slash."""
    # The address itself may hold a key (a SAS), so that no message repeats it.
    try:
        parts = urlsplit(location)
    except ValueError:
        parts = urlsplit("")
    container, _, prefix = parts.path.strip("/").partition("/")
    whole = parts.scheme == "https" and not parts.query and not parts.fragment
    if whole and _BLOB_HOST.fullmatch(parts.netloc) and _CONTAINER.fullmatch(container):
        if not prefix:
            return f"https://{parts.netloc}", container, ""
        if _NAME.fullmatch(prefix):
            return f"https://{parts.netloc}", container, f"{prefix}/"
    fault = (
        "USERS_STORE is neither a folder nor a Blob container: give a path, or"
        " https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX without a key or SAS."
    )
    raise SettingsError([fault])
