"""What a remedy is, and who can apply it."""

from typing import NamedTuple


class Remedy(NamedTuple):
    """What an error means, who can put it right, and how; `{names}` stand for facts of the app at hand."""

    meaning: str
    who: str
    how: str


NOBODY = "nobody: it passes"
CALLER = "whoever asked"
OPERATOR = "who sets the app's settings"
REGISTRANT = "owner of the app registration"
ADMINISTRATOR = "Privileged Role Administrator or Global Administrator"
VAULT_OWNER = "owner of the key vault"
STORE_OWNER = "owner of the storage"
DEVELOPER = "developer of this app"
