"""Access keys, as the host checks them.

https://learn.microsoft.com/en-us/azure/azure-functions/function-keys-how-to
"""

import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

# Which level of caller may run a function of a level: the master key opens everything.
SUFFICIENT = {
    "anonymous": {"anonymous", "function", "admin"},
    "function": {"function", "admin"},
    "admin": {"admin"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The host's keys: `default` runs functions of level function, `master` runs all and the admin endpoints."""

    default: str = field(default_factory=lambda: secrets.token_urlsafe(40), repr=False)
    master: str = field(default_factory=lambda: secrets.token_urlsafe(40), repr=False)

    def level(self, headers: Mapping[str, str], query: Mapping[str, Sequence[str]]) -> str:
        """Tell what the caller may do: `anonymous`, `function` or `admin`.

        The header `x-functions-key` wins over the query's `code`, even when it is wrong or empty.
        """
        presented = headers.get("x-functions-key")
        if presented is None:
            presented = next((values[0] for name, values in query.items() if name.lower() == "code"), "")
        if hmac.compare_digest(presented.encode(), self.master.encode()):
            return "admin"
        return "function" if hmac.compare_digest(presented.encode(), self.default.encode()) else "anonymous"
