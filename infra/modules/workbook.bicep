// One page on how the directory and its copy are doing: portal, Azure Monitor, Workbooks.
param location string
param tags object
param workspaceId string

var events = loadTextContent('../queries/events.kql')
var title = 'Entra users'
var charts = [
  { title: 'Last sync', query: loadTextContent('../queries/staleness.kql'), visualization: 'table' }
  { title: 'Users', query: loadTextContent('../queries/users.kql'), visualization: 'linechart' }
  { title: 'Joiners and leavers a day', query: loadTextContent('../queries/joiners-leavers.kql'), visualization: 'barchart' }
  { title: 'Minutes a run took', query: loadTextContent('../queries/durations.kql'), visualization: 'scatterchart' }
  { title: 'Graph requests a day', query: loadTextContent('../queries/graph-requests.kql'), visualization: 'barchart' }
  { title: 'Throttling a day', query: loadTextContent('../queries/throttling.kql'), visualization: 'barchart' }
  { title: 'Last runs', query: loadTextContent('../queries/runs.kql'), visualization: 'table' }
]
var days30InMilliseconds = 2592000000
var items = [
  for (chart, i) in charts: {
    type: 3
    name: 'chart-${i}'
    content: {
      version: 'KqlItem/1.0'
      title: chart.title
      query: '${events}${chart.query}'
      visualization: chart.visualization
      size: 0
      queryType: 0
      resourceType: 'microsoft.operationalinsights/workspaces'
      timeContext: { durationMs: days30InMilliseconds }
    }
  }
]

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, title)
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: title
    category: 'workbook'
    sourceId: workspaceId
    serializedData: string({
      version: 'Notebook/1.0'
      items: items
      fallbackResourceIds: [workspaceId]
    })
  }
}
