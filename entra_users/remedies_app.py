"""Remedies for the app's own errors, by class, and for what its check warns of."""

from entra_users.remedy import (
    ADMINISTRATOR,
    CALLER,
    NOBODY,
    OPERATOR,
    REGISTRANT,
    STORE_OWNER,
    VAULT_OWNER,
    Remedy,
)

_AGAIN = "Run it again; python -m entra_users check tells which service it is."
_TENANT = "nobody: such a tenant has none"
_RUN_AGAIN = "Start the run again; what is published is untouched."

ERRORS: dict[str, Remedy] = {
    "EntraUsersError": Remedy("Something failed.", OPERATOR, "Do what the message says."),
    "SettingsError": Remedy(
        "Settings are missing or malformed.",
        OPERATOR,
        "Correct each one that the message names, in local.settings.json, or with azd env set and azd provision.",
    ),
    "CredentialError": Remedy("The app cannot prove who it is.", OPERATOR, "python -m entra_users check tells why."),
    "IdentityError": Remedy(
        "The managed identity gave no token.",
        OPERATOR,
        "Assign a managed identity to the app and name a user-assigned one in AZURE_CLIENT_ID ({identity}). On your own"
        " machine there is none: az login serves for vault and storage, not for federated and managed-identity.",
    ),
    "VaultError": Remedy(
        "Key Vault did not give the secret or certificate, or not one that can be used.",
        VAULT_OWNER,
        "Correct KEY_VAULT_URL ({vault}), the network to it, or {kind} {credential}: docs/register.md, step 2.",
    ),
    "TokenError": Remedy(
        "Entra did not give a token.",
        OPERATOR,
        "Look the code up at https://login.microsoftonline.com/error and compare GRAPH_TENANT_ID ({tenant}) and"
        " GRAPH_CLIENT_ID ({app}) with the app's page {overview_page}",
    ),
    "RequestError": Remedy(
        "Graph refused the request.", OPERATOR, "Look for what stands between the app and Graph, such as a proxy."
    ),
    "BadQuery": Remedy("A query option is wrong.", CALLER, "Correct what the message names."),
    "AccessDenied": Remedy(
        "The app lacks a permission or its admin consent.",
        ADMINISTRATOR,
        "Add the application permission User.Read.All at {permissions_page} and grant admin consent at {consent_url}",
    ),
    "NotFound": Remedy(
        "There is no such user, run or snapshot.",
        CALLER,
        "Check the id or userPrincipalName; a deleted user is not found either.",
    ),
    "RestartRequired": Remedy("The read must start again.", CALLER, "Read again from the first page."),
    "PageTokenExpired": Remedy(
        "A page token is no longer valid.",
        CALLER,
        "Read again from the first page. The app's own reads do so by themselves, five times.",
    ),
    "ResyncRequired": Remedy(
        "The changes asked for are no longer known.",
        CALLER,
        "Read the snapshot anew, and then its changes. A run does so by itself.",
    ),
    "Unavailable": Remedy("A service did not answer properly within the time budget.", NOBODY, _AGAIN),
    "Throttled": Remedy(
        "Graph was still throttling the app when the time budget ran out.",
        OPERATOR,
        "Run again later, or with fewer lanes (SYNC_LANES): docs/operations.md, throttling.",
    ),
    "TimedOut": Remedy(
        "A service did not answer within the time budget.",
        OPERATOR,
        "Run it again; if it stays, look for a firewall between the app and {graph}, or raise HTTP_BUDGET_SECONDS.",
    ),
    "Incomplete": Remedy("What came back is not the whole, and none of it was used.", NOBODY, _RUN_AGAIN),
    "MalformedPage": Remedy(
        "An answer was not a page of users, or was cut short.",
        OPERATOR,
        "Look for a proxy that answers in the place of {graph} , then run again.",
    ),
    "BrokenPaging": Remedy(
        "Graph's next link repeats, or leads to another host.",
        NOBODY,
        "Run again. If it stays, report it to Microsoft with the request id.",
    ),
    "IncompleteDirectory": Remedy(
        "Fewer or more users were read than Graph counts.",
        OPERATOR,
        "Run again: Graph's count lags behind by minutes. Raise SYNC_COUNT_TOLERANCE only if you know why they differ.",
    ),
    "SyncError": Remedy("A run ended without publishing.", OPERATOR, _RUN_AGAIN),
    "RunInProgress": Remedy(
        "Another run is active, or published first.", NOBODY, "Wait for it: python -m entra_users status."
    ),
    "ShrinkRefused": Remedy(
        "The directory would shrink by more than SYNC_MAX_SHRINK allows.",
        OPERATOR,
        "See who is gone before you force it: docs/operations.md, the shrink guard.",
    ),
    "RunFailed": Remedy(
        "A part of the run failed for good.",
        OPERATOR,
        "Look into the app's log for the partition, then start the run again: it goes on from what is done.",
    ),
    "StoreError": Remedy(
        "The store did not do what was asked.", STORE_OWNER, "Let USERS_STORE ({store}) be a folder or container."
    ),
    "ObjectNotFound": Remedy(
        "A stored object is not there.", CALLER, "Name a file of the snapshot as it is now: GET /api/snapshot."
    ),
    "ObjectChanged": Remedy(
        "Another wrote the same object first.", NOBODY, "Run again; two runs at once do not harm each other."
    ),
    "StoreDenied": Remedy(
        "There is no right to read or write in the store.",
        STORE_OWNER,
        "Give {identity} the role Storage Blob Data Contributor on {store} , or the account that runs this the right to"
        " that folder.",
    ),
    "StoreFull": Remedy(
        "The store has no space left.", STORE_OWNER, "Make room at {store} , or keep fewer snapshots (SNAPSHOT_KEEP)."
    ),
    "StoreUnavailable": Remedy(
        "The store is not reachable, or still fails after retries.",
        STORE_OWNER,
        "Run it again; if it stays, check USERS_STORE ({store}), the network to it, and the account's own state.",
    ),
    "CorruptObject": Remedy(
        "Stored bytes are not what their manifest or receipt says.",
        STORE_OWNER,
        "Put back an older manifest (docs/operations.md, restore an older snapshot), or run sync --full.",
    ),
}
"""By class; a class without a remedy of its own has its parent's."""

CONCERNS: dict[str, Remedy] = {
    "credentialExpires": Remedy(
        "The secret or certificate expires within CREDENTIAL_WARN_DAYS, or its date has passed.",
        REGISTRANT,
        "Renew it (docs/operations.md, rotate a {kind}) and store it as {credential_place}. The old"
        " one works until its date.",
    ),
    "tooManyPermissions": Remedy(
        "The app holds permissions that it does not need.",
        ADMINISTRATOR,
        "Take them away at {permissions_page} , both from the list and from what is granted: User.Read.All is enough.",
    ),
    "noUsers": Remedy(
        "The tenant has no users.", OPERATOR, "Check that GRAPH_TENANT_ID ({tenant}) is the tenant that you mean."
    ),
    "cannotCount": Remedy(
        "Graph does not count users in this tenant (Azure AD B2C), so that no run can be held against its count.",
        _TENANT,
        "Nothing: everyone is read by one lane.",
    ),
    "noDelta": Remedy(
        "The tenant has no delta queries (Azure AD B2C, External ID).", _TENANT, "Nothing: every run is a full run."
    ),
    "noAdvancedQueries": Remedy(
        "The tenant has no advanced queries (Azure AD B2C), by which a large directory is split.",
        _TENANT,
        "Nothing: everyone is read by one lane.",
    ),
    "conditionsIgnored": Remedy(
        "The store writes although its condition does not hold, so that two runs could undo each other.",
        STORE_OWNER,
        "Let USERS_STORE ({store}) be a Blob container or a folder of a local disk: some network shares keep no locks.",
    ),
    "manyChanges": Remedy(
        "So many users changed since the last run that everyone is read anew.", NOBODY, "The run goes on by itself."
    ),
    "noSnapshot": Remedy(
        "Nothing was stored yet.", OPERATOR, "Start a run: python -m entra_users sync, or POST /api/sync."
    ),
    "snapshotOverdue": Remedy(
        "The last run on schedule did not renew the snapshot.",
        OPERATOR,
        "Look into the app's log for the run, and start one: python -m entra_users sync, or POST /api/sync.",
    ),
}
"""By the codes that are the app's own: what its check warns of, and why a run reads everyone anew."""
