"""Remedies for the codes with which Entra refuses a token.

https://learn.microsoft.com/en-us/entra/identity-platform/reference-error-codes
"""

from entra_users.remedy import ADMINISTRATOR, DEVELOPER, NOBODY, OPERATOR, REGISTRANT, VAULT_OWNER, Remedy

_RENEW = (
    "Add a client secret at {credentials_page} and store its value (not its id) as {credential_place}. The app picks"
    " it up by itself."
)
_UPLOAD = (
    "Upload the public half of {credential_place} at {credentials_page} , Certificates (docs/operations.md, rotate a"
    " certificate)."
)
_ANOTHER_CLOUD = Remedy(
    "The tenant is in another cloud than the one that was asked.",
    OPERATOR,
    "Set GRAPH_CLOUD ({cloud}) to the cloud of tenant {tenant}: global, usgov, usgov-dod or china.",
)
_NO_TENANT = Remedy(
    "The request names no single tenant, and an app can sign in to one only.",
    OPERATOR,
    "Set GRAPH_TENANT_ID ({tenant}) to the tenant's id or domain.",
)
_NOT_TRUSTED = Remedy(
    "The app registration trusts no credential with this issuer, subject and audience.",
    REGISTRANT,
    "At {credentials_page} , Federated credentials, add the managed identity {identity}: issuer {issuer} , subject its"
    " object (principal) id, in the same letter case, audience {audience} .",
)
_OWN_REQUEST = Remedy(
    "Entra did not understand the request that this app made.",
    DEVELOPER,
    "Report it with the message and the request id; look for a proxy that changes requests on their way.",
)
_PASSING = Remedy(
    "Entra has trouble of its own.",
    NOBODY,
    "Run it again; the app repeats such requests by itself. Longer trouble is on https://azure.status.microsoft",
)

ENTRA: dict[str, Remedy] = {
    "AADSTS7000215": Remedy("The client secret is wrong; often its id was stored instead.", REGISTRANT, _RENEW),
    "AADSTS7000222": Remedy("The client secret has expired.", REGISTRANT, _RENEW),
    "AADSTS7000218": Remedy(
        "The request held neither a secret nor an assertion: the credential is empty.", VAULT_OWNER, _RENEW
    ),
    "AADSTS700027": Remedy(
        "Entra does not know the certificate that signed the request, or the certificate has expired.",
        REGISTRANT,
        _UPLOAD,
    ),
    "AADSTS50012": Remedy(
        "Entra does not accept the signature of the request: the certificate is not the registered one.",
        REGISTRANT,
        _UPLOAD,
    ),
    "AADSTS700024": Remedy(
        "The signed request is not valid at this time.",
        OPERATOR,
        "Set the clock of the machine that runs the app: it is more than five minutes off.",
    ),
    **dict.fromkeys(("AADSTS70021", "AADSTS700211", "AADSTS700212", "AADSTS700213"), _NOT_TRUSTED),
    "AADSTS700229": Remedy(
        "The federated credential was used with a token of a user, and only an app's own will do.",
        OPERATOR,
        "Let AZURE_CLIENT_ID ({identity}) name a user-assigned managed identity of the app.",
    ),
    "AADSTS700016": Remedy(
        "The app is not known in this tenant.",
        OPERATOR,
        "Correct GRAPH_CLIENT_ID ({app}) or GRAPH_TENANT_ID ({tenant}). In another organisation's tenant its"
        " administrator first consents at {consent_url}",
    ),
    **dict.fromkeys(
        ("AADSTS7000112", "AADSTS70001"),
        Remedy(
            "The app is disabled in this tenant.",
            "Cloud Application Administrator",
            "Enable it: az ad sp update --id {app} --set accountEnabled=true, or {portal} , Enterprise applications,"
            " {app}, Properties, Enabled for users to sign-in.",
        ),
    ),
    "AADSTS90002": Remedy(
        "There is no such tenant in this cloud.",
        OPERATOR,
        "Correct GRAPH_TENANT_ID ({tenant}) or GRAPH_CLOUD ({cloud}); the id is on the overview page of {portal}",
    ),
    **dict.fromkeys(("AADSTS900382", "AADSTS900432", "AADSTS90038"), _ANOTHER_CLOUD),
    **dict.fromkeys(("AADSTS9001023", "AADSTS50059", "AADSTS90019"), _NO_TENANT),
    "AADSTS500011": Remedy(
        "The API that the token is for is not known in this tenant.",
        OPERATOR,
        "Correct GRAPH_CLOUD ({cloud}), or the scope in the quickstart's parameters file.",
    ),
    "AADSTS65001": Remedy(
        "Nobody has consented to what the app asks for.", ADMINISTRATOR, "Grant admin consent at {consent_url}"
    ),
    "AADSTS53003": Remedy(
        "A Conditional Access policy for workload identities blocks the app, by place or by risk.",
        "Conditional Access Administrator",
        "{portal} , Conditional Access, Policies: admit the app {app}, or the addresses it calls from.",
    ),
    "AADSTS50034": Remedy(
        "The request was taken for the sign-in of a user who does not exist.",
        OPERATOR,
        "Let GRAPH_CLIENT_ID ({app}) be the client id of the app registration: no user signs in here.",
    ),
    "AADSTS50196": Remedy(
        "Entra saw too many requests alike and takes them for a loop.",
        OPERATOR,
        "Wait some minutes. Look for something that starts the app again and again: one process asks once an hour.",
    ),
    "AADSTS100007": Remedy(
        "A regional sign-in service was asked, which is for Microsoft's own apps.",
        OPERATOR,
        "Remove MSAL_FORCE_REGION from the environment.",
    ),
    **dict.fromkeys(
        ("AADSTS1002012", "AADSTS70011"),
        Remedy(
            "The scope is not one that an app can ask for by itself.",
            OPERATOR,
            "In the quickstart's parameters file, let the scope end in /.default; the app's own always does.",
        ),
    ),
    **dict.fromkeys(
        ("AADSTS50027", "AADSTS700021", "AADSTS700023", "AADSTS900144", "AADSTS70003"),
        _OWN_REQUEST,
    ),
    **dict.fromkeys(
        ("AADSTS90006", "AADSTS90012", "AADSTS90024", "AADSTS90033", "AADSTS90090", "AADSTS50033"), _PASSING
    ),
    "AADSTS90055": Remedy(
        "Entra throttles the whole tenant.",
        NOBODY,
        "Run it again later; if it stays, look in {portal} , Sign-in logs, for who signs in too often.",
    ),
}
