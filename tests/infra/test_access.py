"""Who may do what: the least that each mode needs, and no keys anywhere."""

import re

import pytest

from tests.infra.templates import TEMPLATES, resources

ROLES = {
    "keyVaultCertificatesOfficer": "a4417e6f-fecd-4de8-b567-7b0420556985",
    "keyVaultSecretsUser": "4633458b-17de-408a-b874-0445c86b69e6",
    "monitoringMetricsPublisher": "3913510d-42f4-4e42-8a64-420c390055eb",
    "storageBlobDataContributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "storageBlobDataOwner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "storageBlobDelegator": "db58b8e5-c6ad-4a2a-8342-4190687cbf4a",
    "storageQueueDataContributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
}
"""https://learn.microsoft.com/en-us/azure/role-based-access-control/built-in-roles"""
GRAPH = {
    "microsoftGraph": "00000003-0000-0000-c000-000000000000",
    "userReadAll": "df021288-bdef-4463-88db-98f22de89214",
}
"""https://learn.microsoft.com/en-us/graph/permissions-reference#userreadall"""


def roles_in_mode(credential: str) -> set[tuple[str, str, str]]:
    """Who gets which role on what, where a credential mode deploys the module and the resource."""
    vault = credential in ("secret", "certificate")
    return {
        (assignment.value("principalId"), assignment.value("scope"), role[1])
        for assignment in resources("Microsoft.Authorization/roleAssignments")
        if (vault or assignment.file != "modules/vault.bicep")
        and (credential == "certificate" or assignment.condition != "!empty(deployerId)")
        and (role := re.search(r"roleDefinitions', (\w+)\)", assignment.value("roleDefinitionId")))
    }


ALWAYS = {
    ("identityPrincipalId", "host", "storageBlobDataOwner"),
    ("identityPrincipalId", "host", "storageQueueDataContributor"),
    ("identityPrincipalId", "data::blobs::users", "storageBlobDataContributor"),
    ("identityPrincipalId", "data", "storageBlobDelegator"),
    ("identityPrincipalId", "insights", "monitoringMetricsPublisher"),
}
READS_VAULT = {("identityPrincipalId", "vault", "keyVaultSecretsUser")}
MAKES_CERTIFICATE = {("deployerId", "vault", "keyVaultCertificatesOfficer")}


@pytest.mark.parametrize(
    ("credential", "roles"),
    [
        ("managed-identity", ALWAYS),
        ("federated", ALWAYS),
        ("secret", ALWAYS | READS_VAULT),
        ("certificate", ALWAYS | READS_VAULT | MAKES_CERTIFICATE),
    ],
)
def test_a_mode_assigns_the_roles_it_needs_and_no_others(credential: str, roles: set[tuple[str, str, str]]) -> None:
    assert roles_in_mode(credential) == roles


def test_the_conditions_that_decide_on_roles_are_those_the_modes_are_told_apart_by() -> None:
    main = TEMPLATES["main.bicep"]
    assert "var needsVault = graphCredential == 'secret' || graphCredential == 'certificate'" in main
    assert "module vault 'modules/vault.bicep' = if (needsVault) {" in main
    assert "deployerId: graphCredential == 'certificate' ? principalId : ''" in main
    conditions = {found.condition for found in resources("Microsoft.Authorization/roleAssignments")}
    assert conditions == {"", "!empty(deployerId)"}


def test_every_guid_is_a_known_role_or_a_known_id_of_microsoft_graph() -> None:
    guid = re.compile(r"var (\w+) = '([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})'")
    named = [found for text in TEMPLATES.values() for found in guid.findall(text)]
    assert dict(named) == ROLES | GRAPH
    everywhere = [id_ for text in TEMPLATES.values() for id_ in re.findall(r"[0-9a-f]{8}-[0-9a-f-]{27}", text)]
    assert len(everywhere) == len(named) == len(ROLES | GRAPH)


def test_role_assignments_have_repeatable_names_and_say_what_kind_of_principal_they_are_for() -> None:
    for assignment in resources("Microsoft.Authorization/roleAssignments"):
        assert assignment.value("name").startswith("guid("), assignment.name
        assert assignment.value("principalType") in ("'ServicePrincipal'", "deployerType"), assignment.name


def test_the_app_asks_for_one_permission_only() -> None:
    assert re.findall(r"id: (\w+)\n +type: '(\w+)'", TEMPLATES["modules/app.bicep"]) == [("userReadAll", "Role")]


def test_storage_takes_no_keys_no_anonymous_reads_and_no_old_tls() -> None:
    accounts = resources("Microsoft.Storage/storageAccounts")
    assert [account.name for account in accounts] == ["host", "data"]
    for account in accounts:
        assert account.value("allowSharedKeyAccess") == "false"
        assert account.value("allowBlobPublicAccess") == "false"
        assert account.value("defaultToOAuthAuthentication") == "true"
        assert account.value("minimumTlsVersion") == "'TLS1_2'"
        assert account.value("supportsHttpsTrafficOnly") == "true"
        assert account.value("publicNetworkAccess") == "publicAccess ? 'Enabled' : 'Disabled'"
        assert "publicAccess: 'Container'" not in account.body


def test_the_vault_goes_by_roles_and_keeps_what_was_deleted() -> None:
    [vault] = resources("Microsoft.KeyVault/vaults")
    assert vault.value("enableRbacAuthorization") == "true"
    assert vault.value("enablePurgeProtection") == "true"
    assert vault.value("publicNetworkAccess") == "publicAccess ? 'Enabled' : 'Disabled'"


def test_the_site_speaks_https_only_and_takes_no_passwords() -> None:
    [site] = resources("Microsoft.Web/sites")
    assert site.value("httpsOnly") == "true"
    assert site.value("minTlsVersion") == "'1.2'"
    assert site.value("scmMinTlsVersion") == "'1.2'"
    assert site.value("ftpsState") == "'Disabled'"
    assert site.value("type") == "'UserAssigned'"
    assert "for kind in ['scm', 'ftp']: {\n      name: kind\n      properties: { allow: false }" in site.body


def test_telemetry_takes_no_keys() -> None:
    [insights] = resources("Microsoft.Insights/components")
    [workspace] = resources("Microsoft.OperationalInsights/workspaces")
    assert insights.value("DisableLocalAuth") == "true"
    assert workspace.value("features") == "{ disableLocalAuth: true }"


def test_no_template_reads_a_key_or_hands_one_on() -> None:
    for file, text in TEMPLATES.items():
        assert not re.search(r"\blist(Keys|Secrets|AccountSas|ServiceSas)\b|AccountKey|SharedAccess|@secure", text), (
            file
        )


def test_callers_without_a_function_key_need_a_token_and_a_role() -> None:
    authentication = TEMPLATES["modules/function.bicep"]
    assert "requireAuthentication: true" in authentication
    assert "unauthenticatedClientAction: 'Return401'" in authentication
    assert "excludedPaths: ['/api/health']" in authentication
    assert "validation: { allowedAudiences: [callerClientId] }" in authentication
    assert "appRoleAssignmentRequired: true" in TEMPLATES["modules/callers.bicep"]
