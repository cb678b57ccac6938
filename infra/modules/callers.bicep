// The app registration that callers ask tokens for: only those given its role get one.
extension microsoftGraphV1

param uniqueName string
param displayName string

// A form that tenants accept whatever their policy on identifier URIs says.
// https://learn.microsoft.com/en-us/entra/identity-platform/identifier-uri-restrictions
var audience = 'api://${tenant().tenantId}/${uniqueName}'

resource api 'Microsoft.Graph/applications@v1.0' = {
  uniqueName: uniqueName
  displayName: displayName
  signInAudience: 'AzureADMyOrg'
  identifierUris: [audience]
  api: { requestedAccessTokenVersion: 2 }
  appRoles: [
    {
      id: guid(uniqueName, 'Users.Read')
      value: 'Users.Read'
      displayName: 'Read the users'
      description: 'Call the entra-users API.'
      allowedMemberTypes: ['Application']
      isEnabled: true
    }
  ]
}

resource servicePrincipal 'Microsoft.Graph/servicePrincipals@v1.0' = {
  appId: api.appId
  // Entra itself refuses a token to whoever was not given the role.
  appRoleAssignmentRequired: true
}

output clientId string = api.appId
output audience string = audience
output servicePrincipalId string = servicePrincipal.id
