"""Entra's error codes, and the body in which its sign-in endpoint sends them.

Codes: https://learn.microsoft.com/en-us/entra/identity-platform/reference-error-codes
Body: https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow#error-response
"""

import datetime as dt
import uuid

from starlette.responses import JSONResponse

# Code: (OAuth error, message).
MESSAGES = {
    50027: ("invalid_client", "JWT token is invalid or malformed."),
    53003: (
        "invalid_grant",
        "Access has been blocked by Conditional Access policies. The access policy does not allow token issuance.",
    ),
    70003: ("unsupported_grant_type", "The app requested an unsupported grant type '{0}'."),
    70011: (
        "invalid_scope",
        (
            "The provided request must include a 'scope' input parameter. The provided value for the input parameter "
            "'scope' is not valid. The scope {0} is not valid."
        ),
    ),
    90002: (
        "invalid_request",
        (
            "Tenant '{0}' not found. Check to make sure you have the correct tenant ID and are signing into the "
            "correct cloud. Check with your subscription administrator, this may happen if there are no active "
            "subscriptions for the tenant."
        ),
    ),
    90033: ("temporarily_unavailable", "A transient error has occurred. Please try again."),
    90055: ("temporarily_unavailable", "The tenant is throttled: there are too many incoming requests."),
    500011: (
        "invalid_resource",
        (
            "The resource principal named {0} was not found in the tenant named {1}. This can happen if the "
            "application has not been installed by the administrator of the tenant or consented to by any user in the "
            "tenant. You might have sent your authentication request to the wrong tenant."
        ),
    ),
    700016: (
        "unauthorized_client",
        (
            "Application with identifier '{0}' was not found in the directory '{1}'. This can happen if the "
            "application has not been installed by the administrator of the tenant or consented to by any user in the "
            "tenant. You may have sent your authentication request to the wrong tenant."
        ),
    ),
    700021: (
        "invalid_client",
        "Client assertion application identifier doesn't match 'client_id' parameter.",
    ),
    700023: ("invalid_client", "Client assertion audience claim does not match Realm issuer."),
    700024: (
        "invalid_client",
        "Client assertion is not within its valid time range. Current time: {0}, expiry time of assertion {1}.",
    ),
    700027: (
        "invalid_client",
        (
            "The certificate with identifier used to sign the client assertion is not registered on application. "
            "[Reason - {0}, Thumbprint of key used by client: '{1}', Please visit the Azure Portal to see configured "
            "keys for app Id '{2}'.]"
        ),
    ),
    700211: (
        "invalid_client",
        (
            "No matching federated identity record found for presented assertion issuer '{0}'. Check your federated "
            "identity credential Subject, Audience and Issuer against the presented assertion. "
            "https://learn.microsoft.com/entra/workload-id/workload-identity-federation"
        ),
    ),
    700212: (
        "invalid_client",
        (
            "No matching federated identity record found for presented assertion audience '{0}'. Check your federated "
            "identity credential Subject, Audience and Issuer against the presented assertion. "
            "https://learn.microsoft.com/entra/workload-id/workload-identity-federation"
        ),
    ),
    700213: (
        "invalid_client",
        (
            "No matching federated identity record found for presented assertion subject '{0}'. Check your federated "
            "identity credential Subject, Audience and Issuer against the presented assertion. "
            "https://learn.microsoft.com/entra/workload-id/workload-identity-federation"
        ),
    ),
    900144: ("invalid_request", "The request body must contain the following parameter: '{0}'."),
    1002012: (
        "invalid_scope",
        (
            "The provided value for scope {0} is not valid. Client credential flows must have a scope value with "
            "/.default suffixed to the resource identifier (application ID URI)."
        ),
    ),
    7000112: ("unauthorized_client", "Application '{0}'({1}) is disabled."),
    7000215: (
        "invalid_client",
        (
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, "
            "not the client secret ID, for a secret added to app '{0}'."
        ),
    ),
    7000218: (
        "invalid_client",
        "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
    ),
    7000222: (
        "invalid_client",
        (
            "The provided client secret keys for app '{0}' are expired. Visit the Azure portal to create new keys for "
            "your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added security: "
            "https://aka.ms/certCreds."
        ),
    ),
}


class SignInRefused(Exception):
    """Entra gives no token; `code` is the number after AADSTS, `values` fill its message."""

    def __init__(self, code: int, *values: str) -> None:
        super().__init__(code, *values)
        self.code = code
        self.values = values


def error_body(code: int, *values: str, correlation_id: str | None = None) -> dict[str, object]:
    """The body of a refusal, with new trace and correlation ids unless the request brought one."""
    error, message = MESSAGES.get(code, ("invalid_request", "The request was refused."))
    for place, value in enumerate(values):
        message = message.replace(f"{{{place}}}", value)
    trace, correlation = str(uuid.uuid4()), correlation_id or str(uuid.uuid4())
    timestamp = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return {
        "error": error,
        "error_description": f"AADSTS{code}: {message} Trace ID: {trace} Correlation ID: {correlation} "
        f"Timestamp: {timestamp}",
        "error_codes": [code],
        "timestamp": timestamp,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": f"https://login.microsoftonline.com/error?code={code}",
    }


def error_status(code: int) -> int:
    """401 for an invalid client, 429 and 503 for what passes, else 400."""
    passing = {90033: 503, 90055: 429}
    return passing.get(code, 401 if MESSAGES.get(code, ("", ""))[0] == "invalid_client" else 400)


def refusal(refused: SignInRefused, correlation_id: str | None) -> JSONResponse:
    """The response to a token request that Entra refuses."""
    return JSONResponse(
        error_body(refused.code, *refused.values, correlation_id=correlation_id), status_code=error_status(refused.code)
    )
