// A network of its own: storage and vault are reached at private addresses, everything else through the subnet.
param location string
param tags object
param token string
param addressPrefix string
param hostStorageId string
param dataStorageId string

@description('Empty where the credential mode needs no vault.')
param vaultId string

var storageSuffix = environment().suffixes.storage
// The zone of the public and of the national clouds: privatelink.vaultcore.azure.net, .usgovcloudapi.net, .azure.cn
var vaultZone = 'privatelink${replace(environment().suffixes.keyvaultDns, '.vault.', '.vaultcore.')}'
var zoneNames = concat(
  ['privatelink.blob.${storageSuffix}', 'privatelink.queue.${storageSuffix}'],
  empty(vaultId) ? [] : [vaultZone]
)
var targets = concat(
  [
    { name: 'host-blob', resourceId: hostStorageId, service: 'blob', zone: 0 }
    { name: 'host-queue', resourceId: hostStorageId, service: 'queue', zone: 1 }
    { name: 'data-blob', resourceId: dataStorageId, service: 'blob', zone: 0 }
  ],
  empty(vaultId) ? [] : [{ name: 'vault', resourceId: vaultId, service: 'vault', zone: 2 }]
)

resource network 'Microsoft.Network/virtualNetworks@2024-05-01' = {
  name: 'vnet-${token}'
  location: location
  tags: tags
  properties: {
    addressSpace: { addressPrefixes: [addressPrefix] }
    subnets: [
      {
        name: 'function'
        properties: {
          addressPrefix: cidrSubnet(addressPrefix, 26, 0)
          delegations: [
            {
              name: 'flex-consumption'
              properties: { serviceName: 'Microsoft.App/environments' }
            }
          ]
        }
      }
      {
        name: 'endpoints'
        properties: { addressPrefix: cidrSubnet(addressPrefix, 26, 1) }
      }
    ]
  }

  resource functionSubnet 'subnets' existing = {
    name: 'function'
  }

  resource endpointSubnet 'subnets' existing = {
    name: 'endpoints'
  }
}

resource zones 'Microsoft.Network/privateDnsZones@2024-06-01' = [
  for name in zoneNames: {
    name: name
    location: 'global'
    tags: tags
  }
]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [
  for (name, i) in zoneNames: {
    parent: zones[i]
    name: network.name
    location: 'global'
    properties: {
      registrationEnabled: false
      virtualNetwork: { id: network.id }
    }
  }
]

resource endpoints 'Microsoft.Network/privateEndpoints@2024-05-01' = [
  for target in targets: {
    name: 'pe-${target.name}-${token}'
    location: location
    tags: tags
    properties: {
      subnet: { id: network::endpointSubnet.id }
      privateLinkServiceConnections: [
        {
          name: target.name
          properties: {
            privateLinkServiceId: target.resourceId
            groupIds: [target.service]
          }
        }
      ]
    }
  }
]

resource records 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01' = [
  for (target, i) in targets: {
    parent: endpoints[i]
    name: 'default'
    properties: {
      privateDnsZoneConfigs: [
        {
          name: target.service
          properties: { privateDnsZoneId: zones[target.zone].id }
        }
      ]
    }
  }
]

output functionSubnetId string = network::functionSubnet.id
