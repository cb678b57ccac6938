// The function app on a Flex Consumption plan: one app to a plan, and nothing is billed while nothing runs.
param location string
param tags object
param name string
param planName string
param identityId string

@description('Empty, or the delegated subnet that outbound traffic goes through.')
param subnetId string
param packageContainerUrl string
param instanceMemoryMB int
param maximumInstanceCount int

@description('Empty: callers need a function key. Else the client id of the app registration their tokens are for.')
param callerClientId string
param settings object

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    tier: 'FlexConsumption'
    name: 'FC1'
  }
  properties: { reserved: true }
}

resource site 'Microsoft.Web/sites@2024-04-01' = {
  name: name
  location: location
  tags: tags
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    clientAffinityEnabled: false
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      ftpsState: 'Disabled'
      http20Enabled: true
    }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: packageContainerUrl
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      runtime: {
        name: 'python'
        version: '3.13'
      }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
      }
    }
  }

  resource appSettings 'config' = {
    name: 'appsettings'
    properties: settings
  }

  // No user name and password anywhere: deployments come with Entra tokens.
  resource passwords 'basicPublishingCredentialsPolicies' = [
    for kind in ['scm', 'ftp']: {
      name: kind
      properties: { allow: false }
    }
  ]

  // App Service authentication checks a caller's token before the code runs. Off is said, too: it may have been on.
  resource authentication 'config' = {
    name: 'authsettingsV2'
    properties: empty(callerClientId)
      ? { platform: { enabled: false } }
      : {
          platform: { enabled: true }
          globalValidation: {
            requireAuthentication: true
            unauthenticatedClientAction: 'Return401'
            excludedPaths: ['/api/health']
          }
          identityProviders: {
            azureActiveDirectory: {
              enabled: true
              registration: {
                clientId: callerClientId
                openIdIssuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
              }
              validation: { allowedAudiences: [callerClientId] }
            }
          }
          login: { tokenStore: { enabled: false } }
          httpSettings: { requireHttps: true }
        }
    // Two writes to one site's configuration at once can conflict.
    dependsOn: [appSettings]
  }
}

output url string = 'https://${site.properties.defaultHostName}'
