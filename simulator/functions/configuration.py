"""The host's configuration: host.json, local.settings.json and `%NAME%` in bindings.

https://learn.microsoft.com/en-us/azure/azure-functions/functions-host-json
https://learn.microsoft.com/en-us/azure/azure-functions/functions-develop-local#local-settings-file
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from simulator.functions.errors import StartError

_TIMESPAN = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2}(?:\.\d+)?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueOptions:
    """`extensions.queues` of host.json; durations are seconds.

    https://learn.microsoft.com/en-us/azure/azure-functions/functions-bindings-storage-queue#host-json
    """

    batch_size: int = 16
    new_batch_threshold: int = 8
    max_dequeue_count: int = 5
    visibility_timeout: float = 0.0
    max_polling_interval: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HostConfiguration:
    """What this host reads from host.json; logging and time limits are not simulated."""

    route_prefix: str = "api"
    queues: QueueOptions = QueueOptions()


def read_host_json(app: Path) -> HostConfiguration:
    """Read host.json.

    Raises:
        StartError: it is missing or malformed.
    """
    document = _read_object(app / "host.json")
    if document.get("version") != "2.0":
        raise StartError(f'{app / "host.json"} does not say "version": "2.0".')
    extensions = document.get("extensions", {})
    queues = extensions.get("queues", {})
    batch_size = int(queues.get("batchSize", 16))
    if not 1 <= batch_size <= 32:
        raise StartError(f"extensions.queues.batchSize in host.json is {batch_size}; it may be 1 to 32.")
    if queues.get("messageEncoding", "base64") != "base64":
        raise StartError("extensions.queues.messageEncoding in host.json is not base64, which is not simulated.")
    return HostConfiguration(
        route_prefix=str(extensions.get("http", {}).get("routePrefix", "api")).strip("/"),
        queues=QueueOptions(
            batch_size=batch_size,
            new_batch_threshold=int(queues.get("newBatchThreshold", batch_size // 2)),
            max_dequeue_count=int(queues.get("maxDequeueCount", 5)),
            visibility_timeout=_seconds(queues.get("visibilityTimeout", "00:00:00")),
            max_polling_interval=_seconds(queues.get("maxPollingInterval", "00:01:00")),
        ),
    )


def read_local_settings(app: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Lay an environment over the Values of local.settings.json: a variable that is set and not empty wins.

    Raises:
        StartError: the file is malformed; that there is none is no error.
    """
    path = app / "local.settings.json"
    if not path.exists():
        return dict(environment)
    document = _read_object(path)
    if document.get("IsEncrypted"):
        raise StartError(f"{path} is encrypted: `func settings decrypt` first.")
    values = document.get("Values", {})
    if not isinstance(values, dict) or not all(
        isinstance(each, str) for each in cast("dict[str, object]", values).values()
    ):
        raise StartError(f'"Values" in {path} is not an object of strings.')
    return cast("dict[str, str]", values) | {
        name: value for name, value in environment.items() if value or name not in values
    }


def resolve(text: str, settings: Mapping[str, str], function: str) -> str:
    """Replace each `%NAME%` by the setting of that name.

    https://learn.microsoft.com/en-us/azure/azure-functions/functions-bindings-expressions-patterns#binding-expressions---app-settings

    Raises:
        StartError: there is no such setting, or it is empty.
    """

    def value(found: re.Match[str]) -> str:
        if not settings.get(found[1]):
            raise StartError(
                f"The function '{function}' needs the setting {found[1]}: '{found[0]}' does not resolve to a value."
            )
        return settings[found[1]]

    return re.sub("%([^%]+)%", value, text)


def _read_object(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise StartError(f"There is no {path.name} in {path.parent}.") from None
    except ValueError as error:
        raise StartError(f"{path} is not JSON: {error}.") from None
    if not isinstance(document, dict):
        raise StartError(f"{path} is not a JSON object.")
    return cast("dict[str, Any]", document)


def _seconds(timespan: object) -> float:
    found = _TIMESPAN.fullmatch(str(timespan))
    if not found:
        raise StartError(f"'{timespan}' in host.json is not a time span such as 00:00:30.")
    days, hours, minutes, seconds = found.groups()
    return int(days or 0) * 86400 + int(hours) * 3600 + int(minutes) * 60 + float(seconds)
