"""Before the package is uploaded: wait until the app's identity can write its container.

A role assignment takes a while to reach the storage service; a deployment in that time ends in 403, and azd does not
try again. Nobody but the identity itself can try it out, so the age of the assignment decides.
https://learn.microsoft.com/en-us/azure/role-based-access-control/troubleshooting#symptom---role-assignment-changes-are-not-being-detected
"""

import os
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from azcli import AzError, az

STORAGE_BLOB_DATA_OWNER = "b7e6dc6d-f1e8-4753-8033-0f276bb0955b"
SETTLED_AFTER = 180.0
"""Seconds."""


def main(
    environment: Mapping[str, str],
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Wait for as long as the assignment is younger than three minutes; without one, fail."""
    try:
        assignments = az(
            *("role", "assignment", "list", "--scope", environment["HOST_STORAGE_ID"]),
            *("--assignee-object-id", environment["FUNCTION_IDENTITY_PRINCIPAL_ID"]),
            *("--role", STORAGE_BLOB_DATA_OWNER, "--fill-principal-name", "false"),
        )
    except AzError as error:
        # Whoever deploys may be allowed to deploy but not to read role assignments.
        print(f"Could not look at the identity's roles, so not waiting for them: {error}")
        return 0
    if not assignments:
        print("The app's identity may not write the package container: run `azd provision`.", file=sys.stderr)
        return 1
    age = (clock() - datetime.fromisoformat(assignments[0]["createdOn"])).total_seconds()
    if age < SETTLED_AFTER:
        print(f"Waiting {SETTLED_AFTER - age:.0f} seconds for the identity's new roles to work.", flush=True)
        sleep(SETTLED_AFTER - age)
    return 0


if __name__ == "__main__":
    sys.exit(main(os.environ))
