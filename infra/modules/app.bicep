// The app registration that reads the users, and what it asks an administrator to consent to.
// https://learn.microsoft.com/en-us/graph/templates/bicep/reference/applications
extension microsoftGraphV1

param uniqueName string
param displayName string

@description('Empty, or the object id of the managed identity that stands in for a secret.')
param trustedIdentity string

var microsoftGraph = '00000003-0000-0000-c000-000000000000'
var userReadAll = 'df021288-bdef-4463-88db-98f22de89214'

resource app 'Microsoft.Graph/applications@v1.0' = {
  uniqueName: uniqueName
  displayName: displayName
  signInAudience: 'AzureADMyOrg'
  requiredResourceAccess: [
    {
      resourceAppId: microsoftGraph
      resourceAccess: [
        {
          id: userReadAll
          type: 'Role'
        }
      ]
    }
  ]

  resource identity 'federatedIdentityCredentials@v1.0' = if (!empty(trustedIdentity)) {
    name: '${app.uniqueName}/function-identity'
    issuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
    subject: trustedIdentity
    audiences: ['api://AzureADTokenExchange']
  }
}

// Consent is given to this one; the hook after provisioning asks for it.
resource servicePrincipal 'Microsoft.Graph/servicePrincipals@v1.0' = {
  appId: app.appId
}

output clientId string = app.appId
output servicePrincipalId string = servicePrincipal.id
