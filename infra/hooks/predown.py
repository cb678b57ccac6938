"""Before everything is deleted: offer to delete the app registrations too, which `azd down` leaves behind."""

import os
import sys
from collections.abc import Callable, Mapping

from azcli import AzError, az


def main(environment: Mapping[str, str], *, ask: Callable[[str], str] | None) -> int:
    """Delete the registrations that this template made, each if the answer is yes; without anyone to ask, none."""
    if environment.get("ENTRA_APP") != "create":
        return 0
    for setting in ("GRAPH_CLIENT_ID", "CALLER_CLIENT_ID"):
        client = environment.get(setting)
        if not client:
            continue
        if ask is None or ask(f"Delete the app registration {client} too? [y/N] ").strip().lower() not in ("y", "yes"):
            print(f"The app registration {client} stays. To delete it: az ad app delete --id {client}")
            continue
        try:
            az("ad", "app", "delete", "--id", client)
        except AzError as error:
            print(f"The app registration {client} could not be deleted: {error}")
            continue
        print(f"The app registration {client} is deleted; Entra ID keeps it restorable for 30 days.")
    return 0


if __name__ == "__main__":
    sys.exit(main(os.environ, ask=input if sys.stdin.isatty() else None))
