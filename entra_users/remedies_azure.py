"""Remedies for the codes of Microsoft Graph, Key Vault and Blob Storage.

https://learn.microsoft.com/en-us/graph/errors
https://learn.microsoft.com/en-us/azure/key-vault/general/rest-error-codes
https://learn.microsoft.com/en-us/rest/api/storageservices/blob-service-error-codes
"""

from entra_users.remedy import (
    ADMINISTRATOR,
    CALLER,
    NOBODY,
    OPERATOR,
    STORE_OWNER,
    VAULT_OWNER,
    Remedy,
)

NOT_GRANTED = Remedy(
    "The managed identity has a token, but no permission to read users.",
    ADMINISTRATOR,
    "Assign the application permission User.Read.All of Microsoft Graph, or the one that the message names, to the"
    " managed identity {identity}: there is no page for it, the commands are in docs/deploy.md, Consent. A token"
    " acquired before then does not have it, and is kept for up to a day.",
)
"""In place of consent where there is no app registration to consent to (GRAPH_CREDENTIAL=managed-identity)."""

_ANEW = Remedy(
    "Graph no longer tells the changes since the last run: they are kept for 7 days.",
    NOBODY,
    "The next run reads everyone anew by itself.",
)
_FIRST_PAGE = Remedy(
    "A page token is no longer valid.",
    CALLER,
    "Read again from the first page, and go on from each page within minutes. The app's own reads do so by themselves.",
)
_ONE_BY_ONE = Remedy(
    "A property in $select is given for one user at a time only.",
    OPERATOR,
    "Remove it from USERS_SELECT or $select: https://learn.microsoft.com/en-us/graph/api/user-list names them.",
)
_TROUBLE = Remedy(
    "Graph has trouble of its own.",
    NOBODY,
    "Run it again; the app repeats such requests by itself. Microsoft 365's service health tells of longer trouble.",
)

GRAPH: dict[str, Remedy] = {
    "Request_BadRequest": Remedy(
        "A query option is malformed, or the tenant has no advanced queries.",
        CALLER,
        "Correct what the message names. Azure AD B2C has neither $count nor $search.",
    ),
    "BadRequest": Remedy(
        "Graph does not understand a query option or a property's name.",
        CALLER,
        "Correct what the message names; an extension in USERS_SELECT must exist in the tenant.",
    ),
    "Request_UnsupportedQuery": Remedy(
        "Graph supports this query only as an advanced one, or not at all.",
        CALLER,
        "Send the header ConsistencyLevel: eventual and $count=true:"
        " https://learn.microsoft.com/en-us/graph/aad-advanced-queries",
    ),
    "Directory_ExpiredPageToken": _FIRST_PAGE,
    "DirectoryPageTokenNotFoundException": _FIRST_PAGE,
    "InvalidAuthenticationToken": Remedy(
        "Graph refused a fresh token.",
        OPERATOR,
        "Let tenant {tenant}, app {app} and GRAPH_CLOUD ({cloud}) belong together, and set the machine's clock.",
    ),
    "Authorization_RequestDenied": Remedy(
        "The app has a token, but no permission to read users: admin consent is missing.",
        ADMINISTRATOR,
        "Add the application permission User.Read.All at {permissions_page} and grant admin consent at {consent_url} ;"
        " it is in the next token, which the app acquires within a minute of being refused.",
    ),
    "Authentication_MSGraphPermissionMissing": Remedy(
        "A property needs an application permission of its own, which the message names.",
        ADMINISTRATOR,
        "Add it at {permissions_page} and grant admin consent at {consent_url} ; or take the property out of"
        " USERS_SELECT.",
    ),
    "Authentication_RequestFromNonPremiumTenantOrB2CTenant": Remedy(
        "A property needs a licence (Microsoft Entra ID P1) that the tenant does not have.",
        OPERATOR,
        "Take signInActivity out of $select.",
    ),
    "Request_ResourceNotFound": Remedy(
        "There is no such user.",
        CALLER,
        "Check the id or userPrincipalName; a deleted user is not found either.",
    ),
    **dict.fromkeys(("resyncRequired", "syncStateNotFound", "syncStateInvalid"), _ANEW),
    "TooManyRequests": Remedy(
        "Graph throttles the app, or the whole tenant.",
        OPERATOR,
        "Run again later, with fewer lanes (SYNC_LANES), at another hour (SYNC_SCHEDULE): docs/operations.md,"
        " throttling.",
    ),
    "NotImplemented": _ONE_BY_ONE,
    **dict.fromkeys(("InternalServerError", "BadGateway", "ServiceUnavailable", "GatewayTimeout"), _TROUBLE),
}

_ASSIGN = (
    "az role assignment create --role 'Key Vault Secrets User' --assignee {identity} --scope $(az keyvault show --name"
    " {vault_name} --query id -o tsv) ; it takes effect within minutes."
)
_ADMIT = (
    "Admit the app's subnet or address: az keyvault network-rule add --name {vault_name} --subnet SUBNET_ID, or give"
    " the vault a private endpoint (docs/deploy.md, private networking). Functions are not a trusted service."
)

VAULT: dict[str, Remedy] = {
    "Unauthorized": Remedy(
        "The vault did not accept the identity's token.",
        OPERATOR,
        "Let the vault {vault} and the identity {identity} be of one tenant, and of the cloud that GRAPH_CLOUD"
        " ({cloud}) names.",
    ),
    "ForbiddenByRbac": Remedy("The identity has no right to read secrets in the vault.", VAULT_OWNER, _ASSIGN),
    **dict.fromkeys(
        ("AccessDenied", "ForbiddenByPolicy"),
        Remedy(
            "The vault's access policies do not let the identity read secrets.",
            VAULT_OWNER,
            "az keyvault set-policy --name {vault_name} --secret-permissions get --spn {identity}, or turn the vault to"
            " role assignments.",
        ),
    ),
    "ForbiddenByFirewall": Remedy("The vault's firewall does not admit the app.", VAULT_OWNER, _ADMIT),
    "ForbiddenByConnection": Remedy("The vault takes private connections only.", VAULT_OWNER, _ADMIT),
    "Forbidden": Remedy("The vault refuses the identity.", VAULT_OWNER, _ASSIGN),
    "SecretNotFound": Remedy(
        "The vault has no secret or certificate of this name.",
        OPERATOR,
        "Create {credential_place} (docs/register.md, step 2), correct KEY_VAULT_SECRET_NAME or"
        " KEY_VAULT_CERTIFICATE_NAME, or bring back a deleted one: az keyvault {kind} recover --vault-name"
        " {vault_name} --name {credential}",
    ),
    "SecretDisabled": Remedy(
        "The current version of the secret or certificate is disabled.",
        VAULT_OWNER,
        "az keyvault {kind} set-attributes --vault-name {vault_name} --name {credential} --enabled true, or add a new"
        " version.",
    ),
    "Throttled": Remedy("The vault throttles its callers.", NOBODY, "Run it again; give the app a vault of its own."),
}

STORAGE: dict[str, Remedy] = {
    "AuthorizationPermissionMismatch": Remedy(
        "The identity has no right to the container.",
        STORE_OWNER,
        "az role assignment create --role 'Storage Blob Data Contributor' --assignee {identity} --scope CONTAINER_ID ,"
        " for {store} ; it takes effect within minutes.",
    ),
    "AuthorizationFailure": Remedy(
        "The storage account's firewall does not admit the app.",
        STORE_OWNER,
        "az storage account network-rule add --account-name ACCOUNT --subnet SUBNET_ID, or a private endpoint"
        " (docs/deploy.md, private networking), for {store}",
    ),
    "ContainerNotFound": Remedy(
        "The container does not exist, and is not made here.",
        STORE_OWNER,
        "az storage container create --account-name ACCOUNT --name CONTAINER --auth-mode login, or correct USERS_STORE"
        " ({store}).",
    ),
    "AccountIsDisabled": Remedy(
        "The storage account is disabled.", STORE_OWNER, "Look at the state of the subscription in the Azure portal."
    ),
}
