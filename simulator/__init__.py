"""The Azure that runs on your laptop: Microsoft Entra, Graph and Key Vault under their real host names.

It is never deployed, and shares no code with the app that is tested against it.
"""

from simulator.certificates import ClientCertificate, client_certificate
from simulator.faults import (
    Fault,
    answered,
    connection_reset,
    hang,
    not_json,
    server_error,
    throttled,
    token_error,
    truncated,
    unreachable,
    vault_throttled,
)
from simulator.simulation import Simulator
from simulator.state import RecordedRequest

__all__ = [
    "ClientCertificate",
    "Fault",
    "RecordedRequest",
    "Simulator",
    "answered",
    "client_certificate",
    "connection_reset",
    "hang",
    "not_json",
    "server_error",
    "throttled",
    "token_error",
    "truncated",
    "unreachable",
    "vault_throttled",
]
