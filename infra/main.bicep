// Everything the app runs on, in a resource group of its own.
// `azd up` fills the parameters from its environment (main.parameters.json); docs/deploy.md explains each.
targetScope = 'subscription'

@description('Name of the azd environment; the resource group is called rg-<name>.')
@minLength(1)
@maxLength(64)
param environmentName string

@description('Region of every resource; it must offer Flex Consumption with Python 3.13.')
param location string

@description('Object id of whoever deploys. Only graphCredential=certificate gives it a role: to create the certificate.')
param principalId string = ''

@allowed(['User', 'ServicePrincipal'])
param principalType string = 'User'

@description('How the app proves to Entra who it is. Only federated and managed-identity need no vault.')
@allowed(['secret', 'certificate', 'federated', 'managed-identity'])
param graphCredential string = 'federated'

@description('create: register the app with the Microsoft Graph Bicep extension. existing: another team did.')
@allowed(['create', 'existing'])
param entraApp string = 'create'

@description('Client id of the app registration; needed for entraApp=existing only.')
param graphClientId string = ''

@description('Tenant whose users are read; another one than the subscription\'s needs entraApp=existing.')
param graphTenantId string = tenant().tenantId

@description('Cloud that holds the tenant; empty: the one deployed to.')
@allowed(['', 'global', 'usgov', 'usgov-dod', 'china'])
param graphCloud string = ''

param keyVaultSecretName string = 'graph-client-secret'
param keyVaultCertificateName string = 'graph-client-certificate'

@description('key: function keys. entra: App Service authentication; callers come with tokens of their own identities.')
@allowed(['key', 'entra'])
param callerAuth string = 'key'

@description('callerAuth=entra with entraApp=existing: client id of the app registration that callers ask tokens for.')
param callerClientId string = ''

@description('When the directory is read: NCRONTAB with seconds, in UTC.')
param syncSchedule string = '0 0 2 * * *'

@description('Hours between two runs of syncSchedule; the alert on silence waits one and a half of them.')
@minValue(1)
@maxValue(32)
param syncPeriodHours int = 24

@description('Further app settings by their own names; an empty one is left to the default in the code.')
param settings object = {}

@description('Private endpoints for the vault and both storage accounts, and all outbound traffic through a network.')
param vnetEnabled bool = false
param vnetAddressPrefix string = '10.80.0.0/24'

@allowed([512, 2048, 4096])
param instanceMemoryMB int = 2048

@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('Where alerts are mailed to; empty: they show in the portal only.')
param alertEmail string = ''

@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

@description('Days that deleted or overwritten snapshots can be brought back.')
@minValue(1)
@maxValue(365)
param softDeleteDays int = 7

var tags = { 'azd-env-name': environmentName }
var token = toLower(uniqueString(subscription().id, environmentName, location))
var clouds = { AzureCloud: 'global', AzureUSGovernment: 'usgov', AzureChinaCloud: 'china' }
var cloud = empty(graphCloud) ? clouds[environment().name] : graphCloud
var needsVault = graphCredential == 'secret' || graphCredential == 'certificate'
var needsApp = graphCredential != 'managed-identity'
var vaultName = 'kv-${token}'
var functionName = 'func-${token}'
var clientId = !needsApp ? '' : entraApp == 'create' ? app!.outputs.clientId : graphClientId
var audienceId = callerAuth != 'entra' ? '' : entraApp == 'create' ? callers!.outputs.clientId : callerClientId

resource group 'Microsoft.Resources/resourceGroups@2024-11-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: tags
}

module identity 'modules/identity.bicep' = {
  name: 'identity'
  scope: group
  params: {
    location: location
    tags: tags
    name: 'id-${token}'
  }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: {
    location: location
    tags: tags
    token: token
    identityPrincipalId: identity.outputs.principalId
    logRetentionDays: logRetentionDays
  }
}

module storage 'modules/storage.bicep' = {
  name: 'storage'
  scope: group
  params: {
    location: location
    tags: tags
    token: token
    identityPrincipalId: identity.outputs.principalId
    workspaceId: monitoring.outputs.workspaceId
    publicAccess: !vnetEnabled
    softDeleteDays: softDeleteDays
  }
}

module vault 'modules/vault.bicep' = if (needsVault) {
  name: 'vault'
  scope: group
  params: {
    location: location
    tags: tags
    name: vaultName
    identityPrincipalId: identity.outputs.principalId
    deployerId: graphCredential == 'certificate' ? principalId : ''
    deployerType: principalType
    workspaceId: monitoring.outputs.workspaceId
    publicAccess: !vnetEnabled
  }
}

module network 'modules/network.bicep' = if (vnetEnabled) {
  name: 'network'
  scope: group
  params: {
    location: location
    tags: tags
    token: token
    addressPrefix: vnetAddressPrefix
    hostStorageId: storage.outputs.hostId
    dataStorageId: storage.outputs.dataId
    vaultId: needsVault ? vault!.outputs.id : ''
  }
}

module app 'modules/app.bicep' = if (needsApp && entraApp == 'create') {
  name: 'app'
  scope: group
  params: {
    uniqueName: 'entra-users-${token}'
    displayName: 'entra-users (${environmentName})'
    trustedIdentity: graphCredential == 'federated' ? identity.outputs.principalId : ''
  }
}

module callers 'modules/callers.bicep' = if (callerAuth == 'entra' && entraApp == 'create') {
  name: 'callers'
  scope: group
  params: {
    uniqueName: 'entra-users-callers-${token}'
    displayName: 'entra-users callers (${environmentName})'
  }
}

module function 'modules/function.bicep' = {
  name: 'function'
  scope: group
  params: {
    location: location
    tags: union(tags, { 'azd-service-name': 'users' })
    name: functionName
    planName: 'plan-${token}'
    identityId: identity.outputs.id
    subnetId: vnetEnabled ? network!.outputs.functionSubnetId : ''
    packageContainerUrl: storage.outputs.packageContainerUrl
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    callerClientId: audienceId
    settings: union(
      toObject(filter(items(settings), item => !empty(item.value)), item => item.key, item => item.value),
      {
        AzureWebJobsStorage__blobServiceUri: storage.outputs.hostBlobUrl
        AzureWebJobsStorage__queueServiceUri: storage.outputs.hostQueueUrl
        AzureWebJobsStorage__credential: 'managedidentity'
        AzureWebJobsStorage__clientId: identity.outputs.clientId
        APPLICATIONINSIGHTS_CONNECTION_STRING: monitoring.outputs.applicationInsightsConnectionString
        APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.outputs.clientId};Authorization=AAD'
        AZURE_CLIENT_ID: identity.outputs.clientId
        CALLER_AUTH: callerAuth
        GRAPH_CREDENTIAL: graphCredential
        GRAPH_CLOUD: cloud
        SYNC_SCHEDULE: syncSchedule
        USERS_STORE: storage.outputs.usersUrl
      },
      needsApp
        ? {
            GRAPH_TENANT_ID: graphTenantId
            GRAPH_CLIENT_ID: clientId
          }
        : {},
      needsVault ? { KEY_VAULT_URL: vault!.outputs.url } : {},
      graphCredential == 'secret' ? { KEY_VAULT_SECRET_NAME: keyVaultSecretName } : {},
      graphCredential == 'certificate' ? { KEY_VAULT_CERTIFICATE_NAME: keyVaultCertificateName } : {}
    )
  }
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  scope: group
  params: {
    location: location
    tags: tags
    token: token
    workspaceId: monitoring.outputs.workspaceId
    email: alertEmail
    syncPeriodHours: syncPeriodHours
  }
}

module workbook 'modules/workbook.bicep' = {
  name: 'workbook'
  scope: group
  params: {
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
  }
}

// azd keeps outputs in its environment, where the hooks find them. None is a secret.
output AZURE_TENANT_ID string = tenant().tenantId
output AZURE_RESOURCE_GROUP string = group.name
output AZURE_FUNCTION_NAME string = functionName
output FUNCTION_URL string = function.outputs.url
output FUNCTION_IDENTITY_CLIENT_ID string = identity.outputs.clientId
output FUNCTION_IDENTITY_PRINCIPAL_ID string = identity.outputs.principalId
output HOST_STORAGE_ID string = storage.outputs.hostId
output USERS_STORE string = storage.outputs.usersUrl
output GRAPH_CREDENTIAL string = graphCredential
output ENTRA_APP string = entraApp
output GRAPH_TENANT_ID string = graphTenantId
output GRAPH_CLIENT_ID string = clientId
output GRAPH_ADMIN_CONSENT_URL string = needsApp
  ? '${environment().authentication.loginEndpoint}${graphTenantId}/adminconsent?client_id=${clientId}'
  : ''
output CALLER_AUTH string = callerAuth
output CALLER_AUDIENCE string = callerAuth == 'entra' && entraApp == 'create' ? callers!.outputs.audience : audienceId
output CALLER_CLIENT_ID string = audienceId
output KEY_VAULT_ID string = needsVault ? vault!.outputs.id : ''
output KEY_VAULT_NAME string = needsVault ? vaultName : ''
output KEY_VAULT_SECRET_NAME string = keyVaultSecretName
output KEY_VAULT_CERTIFICATE_NAME string = keyVaultCertificateName
