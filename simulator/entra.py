"""What Entra knows: tenants, app registrations, managed identities, and the tokens it has given out."""

import datetime as dt
import secrets
import uuid
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from simulator.certificates import ClientCertificate, client_certificate
from simulator.clouds import CLOUDS, Cloud

CLIENT_ID = "91709ab4-4081-4c75-802d-b6e4d0dba8e6"
CREDENTIALS = ("secret", "certificate", "federated", "managed-identity")
USER_READ_ALL = "User.Read.All"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A tenant of one cloud, found by its id or by its domain name."""

    id: str
    domain: str
    login_host: str

    def issuer(self) -> str:
        """The issuer of this tenant's version 2 tokens, which federated credentials name."""
        return f"https://{self.login_host}/{self.id}/v2.0"


TENANTS = (
    Tenant(id="c67dae15-9480-474c-8e2a-ef36d6c8cb2b", domain="contoso.example", login_host=CLOUDS["global"].login_host),
    Tenant(
        id="fd5a15b2-ec30-40fa-bdd1-fc493f633f98", domain="contoso.us.example", login_host=CLOUDS["usgov"].login_host
    ),
    Tenant(
        id="c258af86-f54f-44bc-8668-a634919773c7", domain="contoso.cn.example", login_host=CLOUDS["china"].login_host
    ),
)


@dataclass(slots=True, kw_only=True)
class Principal:
    """Something that signs in as itself; the roles are what an administrator granted it, by resource."""

    name: str
    client_id: str
    object_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    graph_roles: set[str] = field(default_factory=lambda: {USER_READ_ALL})
    api_roles: set[str] = field(default_factory=lambda: {"Report.Read"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSecret:
    """A client secret of an app registration; Entra refuses it from `expires_on`."""

    value: str = field(repr=False)
    expires_on: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FederatedCredential:
    """Whose tokens an app registration accepts as client assertions; all three must match exactly."""

    issuer: str
    subject: str
    audience: str


@dataclass(slots=True, kw_only=True)
class Application(Principal):
    """An app registration with its service principal, known to every simulated tenant.

    A test that wants another credential changes the lists: `secrets.clear()`, `add_secret(...)`,
    `certificates.append(client_certificate("next"))`.
    """

    secrets: list[ClientSecret] = field(default_factory=list[ClientSecret])
    certificates: list[ClientCertificate] = field(default_factory=list[ClientCertificate])
    federated_credentials: list[FederatedCredential] = field(default_factory=list[FederatedCredential])
    disabled: bool = False

    def add_secret(self, value: str | None = None, *, days: float = 365) -> str:
        """Register a client secret that ends in `days` (negative: it has ended) and return its value."""
        value = value or secrets.token_urlsafe(30)
        self.secrets.append(ClientSecret(value=value, expires_on=dt.datetime.now(dt.UTC) + dt.timedelta(days=days)))
        return value

    def expire_secrets(self) -> None:
        """End every registered secret now."""
        ended = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1)
        self.secrets[:] = [ClientSecret(value=secret.value, expires_on=ended) for secret in self.secrets]

    def certificate_named(self, thumbprint: bytes) -> x509.Certificate | None:
        """The registered certificate with this SHA-256 or SHA-1 thumbprint."""
        # SHA-1 only names a certificate here, as the older `x5t` header does.
        algorithms = (hashes.SHA256(), hashes.SHA1())  # noqa: S303
        return next(
            (
                each.certificate
                for each in self.certificates
                if thumbprint in [each.thumbprint(algorithm) for algorithm in algorithms]
            ),
            None,
        )


@dataclass(slots=True, kw_only=True)
class ManagedIdentity(Principal):
    """An identity that Azure gives to the simulated machine."""


class Entra:
    """The directory's sign-in side. It stands with one tenant in each cloud and one app registration in all of them.

    Attributes:
        application: the app registration, with a secret, a certificate, a federated credential and consented roles.
        identity: the user-assigned managed identity, which the app registration trusts and the vaults let read.
        system_identity: the system-assigned managed identity, which the vaults let read too; None: there is none.
        token_lifetime: seconds that new tokens live; None: 60 to 90 minutes at random, as Entra does
            (https://learn.microsoft.com/en-us/entra/identity-platform/access-tokens#token-lifetime).
    """

    def __init__(self) -> None:
        self.tenants = list(TENANTS)
        self.application = Application(name="entra-users", client_id=CLIENT_ID)
        self.application.add_secret()
        self.application.certificates.append(client_certificate("entra-users"))
        self.identity = ManagedIdentity(name="entra-users-identity", client_id="698cd753-d263-4c87-9927-fdc1d0d32873")
        self.system_identity: ManagedIdentity | None = ManagedIdentity(
            name="entra-users-function", client_id="cca69df4-4ba3-48b1-8350-4ed2700698f0"
        )
        self.applications = {self.application.client_id: self.application}
        self.user_identities = {self.identity.client_id: self.identity}
        self.application.federated_credentials += [
            FederatedCredential(
                issuer=self.tenant_of(cloud).issuer(),
                subject=self.identity.object_id,
                audience=cloud.token_exchange_audience,
            )
            for cloud in (CLOUDS["global"], CLOUDS["usgov"], CLOUDS["china"])
        ]
        self.token_lifetime: float | None = None
        self._issued: list[str] = []
        self._revoked: frozenset[str] = frozenset()

    def tenant_of(self, cloud: Cloud) -> Tenant:
        """The first tenant of `cloud`."""
        return next(tenant for tenant in self.tenants if tenant.login_host == cloud.login_host)

    def tenant(self, name: str, login_host: str) -> Tenant | None:
        """The tenant called `name`, by id or domain, among those that sign in at `login_host`."""
        return next(
            (
                tenant
                for tenant in self.tenants
                if name.lower() in {tenant.id, tenant.domain} and tenant.login_host == login_host
            ),
            None,
        )

    def lifetime(self) -> int:
        """Whole seconds that the next token lives."""
        return 3600 + secrets.randbelow(1801) if self.token_lifetime is None else int(self.token_lifetime)

    def remember(self, token_id: str) -> None:
        """Note a token as given out."""
        self._issued.append(token_id)

    def revoke_tokens(self) -> None:
        """Make every service refuse every token given out until now."""
        self._revoked = frozenset(self._issued)

    def is_revoked(self, token_id: str) -> bool:
        """Whether `revoke_tokens` was called after this token was given out."""
        return token_id in self._revoked
