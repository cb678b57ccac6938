// What an operator must hear of. Each rule counts the rows of its query: one row is one reason to look.
param location string
param tags object
param token string
param workspaceId string
param email string
param syncPeriodHours int

var events = loadTextContent('../queries/events.kql')
var rules = [
  {
    name: 'sync-failed'
    title: 'A sync failed'
    description: 'A run ended without publishing; the last snapshot still stands. The error is in the query result.'
    severity: 1
    frequency: 'PT15M'
    window: 'PT30M'
    query: loadTextContent('../queries/sync-failed.kql')
  }
  {
    name: 'sync-silent'
    title: 'No successful sync for one and a half periods'
    description: 'Runs fail, or never started. Look at the timer, the queues and their poison queues.'
    severity: 1
    frequency: 'PT1H'
    window: 'P2D'
    query: 'let period = ${syncPeriodHours}h;\n${loadTextContent('../queries/sync-silent.kql')}'
  }
  {
    name: 'consent-missing'
    title: 'Microsoft Graph refuses the app'
    description: 'The permission or its admin consent is missing: an administrator consents anew.'
    severity: 1
    frequency: 'PT15M'
    window: 'PT30M'
    query: loadTextContent('../queries/consent-missing.kql')
  }
  {
    name: 'credential-expiring'
    title: 'The app\'s secret or certificate expires within 30 days'
    description: 'Run `azd hooks run postprovision`: it makes a new one.'
    severity: 2
    frequency: 'PT6H'
    window: 'P1D'
    query: loadTextContent('../queries/credential-expiring.kql')
  }
  {
    name: 'directory-shrank'
    title: 'A sync was refused: the directory would shrink'
    description: 'More users are gone than SYNC_MAX_SHRINK allows. If that is right, sync again with force.'
    severity: 1
    frequency: 'PT15M'
    window: 'PT30M'
    query: loadTextContent('../queries/directory-shrank.kql')
  }
  {
    name: 'throttled'
    title: 'A sync was throttled for more than a tenth of its time'
    description: 'Other apps of the tenant share the limits: read at another hour, or with fewer SYNC_LANES.'
    severity: 3
    frequency: 'PT1H'
    window: 'PT2H'
    query: loadTextContent('../queries/throttled.kql')
  }
]

resource mail 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(email)) {
  name: 'ag-${token}'
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'entra-users'
    emailReceivers: [
      {
        name: 'operator'
        emailAddress: email
        useCommonAlertSchema: true
      }
    ]
  }
}

resource alerts 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for rule in rules: {
    name: '${rule.name}-${token}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: rule.title
      description: rule.description
      severity: rule.severity
      enabled: true
      scopes: [workspaceId]
      evaluationFrequency: rule.frequency
      windowSize: rule.window
      criteria: {
        allOf: [
          {
            query: '${events}${rule.query}'
            timeAggregation: 'Count'
            operator: 'GreaterThan'
            threshold: 0
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      autoMitigate: true
      actions: { actionGroups: empty(email) ? [] : [mail.id] }
    }
  }
]
