// Two accounts: one for the Functions host (package, queues), one for the users. They differ in who may read them.
param location string
param tags object
param token string
param identityPrincipalId string
param workspaceId string
param publicAccess bool
param softDeleteDays int

var packageContainer = 'app-package'
var usersContainer = 'users'
// The names that function_app.py binds to; the host moves what keeps failing to those with -poison.
var queueNames = [
  'users-sync-start'
  'users-sync-start-poison'
  'users-sync-partition'
  'users-sync-partition-poison'
]

var storageBlobDataOwner = 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
var storageQueueDataContributor = '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
var storageBlobDataContributor = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
var storageBlobDelegator = 'db58b8e5-c6ad-4a2a-8342-4190687cbf4a'

resource host 'Microsoft.Storage/storageAccounts@2025-01-01' = {
  name: 'sthost${token}'
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: 'Standard_LRS' }
  properties: {
    allowSharedKeyAccess: false
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: publicAccess ? 'Enabled' : 'Disabled'
    networkAcls: {
      defaultAction: publicAccess ? 'Allow' : 'Deny'
      bypass: 'None'
    }
  }

  resource blobs 'blobServices' = {
    name: 'default'

    resource package 'containers' = {
      name: packageContainer
    }
  }

  resource queues 'queueServices' = {
    name: 'default'

    resource queue 'queues' = [
      for name in queueNames: {
        name: name
      }
    ]
  }
}

resource data 'Microsoft.Storage/storageAccounts@2025-01-01' = {
  name: 'stdata${token}'
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: 'Standard_LRS' }
  properties: {
    allowSharedKeyAccess: false
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: publicAccess ? 'Enabled' : 'Disabled'
    networkAcls: {
      defaultAction: publicAccess ? 'Allow' : 'Deny'
      bypass: 'None'
    }
  }

  resource blobs 'blobServices' = {
    name: 'default'
    properties: {
      deleteRetentionPolicy: {
        enabled: true
        days: softDeleteDays
      }
      containerDeleteRetentionPolicy: {
        enabled: true
        days: softDeleteDays
      }
    }

    resource users 'containers' = {
      name: usersContainer
    }
  }
}

// The host keeps its leases, its keys and the deployed package there, and asks for this role.
// https://learn.microsoft.com/en-us/azure/azure-functions/functions-reference#connecting-to-host-storage-with-an-identity
resource hostBlobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(host.id, identityPrincipalId, storageBlobDataOwner)
  scope: host
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageBlobDataOwner)
    principalId: identityPrincipalId
    principalType: 'ServicePrincipal'
  }
}

// Runs wait in queues, which the host reads, writes and looks at to scale.
resource hostQueues 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(host.id, identityPrincipalId, storageQueueDataContributor)
  scope: host
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageQueueDataContributor)
    principalId: identityPrincipalId
    principalType: 'ServicePrincipal'
  }
}

resource usersBlobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(data::blobs::users.id, identityPrincipalId, storageBlobDataContributor)
  scope: data::blobs::users
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageBlobDataContributor)
    principalId: identityPrincipalId
    principalType: 'ServicePrincipal'
  }
}

// Download links are signed with a user delegation key, which only a role on the whole account can ask for.
// https://learn.microsoft.com/en-us/rest/api/storageservices/create-user-delegation-sas
resource usersLinks 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(data.id, identityPrincipalId, storageBlobDelegator)
  scope: data
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageBlobDelegator)
    principalId: identityPrincipalId
    principalType: 'ServicePrincipal'
  }
}

// Who read the directory, and when.
resource audit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'audit'
  scope: data::blobs
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        categoryGroup: 'audit'
        enabled: true
      }
    ]
  }
}

output hostId string = host.id
output hostBlobUrl string = host.properties.primaryEndpoints.blob
output hostQueueUrl string = host.properties.primaryEndpoints.queue
output packageContainerUrl string = '${host.properties.primaryEndpoints.blob}${packageContainer}'
output dataId string = data.id
output usersUrl string = '${data.properties.primaryEndpoints.blob}${usersContainer}/directory'
