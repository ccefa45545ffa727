// Evaluate IAM requests: a JSON object per line on standard input, an answer per line on standard output.
//
//   node evaluate.mjs MODULE      MODULE: the entry point of @cloud-copilot/iam-simulate
//
// {"policies": "1", "documents": [{"name": "run", "policy": {...}}, ...]} stores a role's policies under an id.
// {"policies": "1", "principal": ..., "action": ..., "resource": ..., "context": {...}, "resourcePolicy": ...}
// asks for a decision: {"result": "Allowed", "allowedBy": [["run", "Sid"]], "deniedBy": [], "errors": null}.
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'

const { runSimulation } = await import(pathToFileURL(process.argv[2]).href)
const account = /^arn:[^:]*:[^:]*:[^:]*:(\d{12}):/
const policies = new Map()

async function decide(request) {
  const owner = account.exec(request.principal)[1]
  const simulation = {
    request: {
      principal: request.principal,
      action: request.action,
      resource: { resource: request.resource, accountId: owner },
      contextVariables: request.context,
    },
    identityPolicies: policies.get(request.policies),
    serviceControlPolicies: [],
    resourceControlPolicies: [],
    resourcePolicy: request.resourcePolicy ?? undefined,
  }
  const answer = await runSimulation(simulation, {})
  if (answer.resultType === 'error') {
    return { result: 'Error', allowedBy: [], deniedBy: [], errors: answer.errors }
  }
  const found = answer.resultType === 'single' ? [answer.result] : answer.results
  const analyses = found.flatMap(({ analysis }) => [analysis.identityAnalysis, analysis.resourceAnalysis])
  const named = (kind) =>
    analyses.flatMap((one) => (one?.[kind] ?? []).map(({ policyId, statement }) => [policyId ?? '', sid(statement)]))
  return {
    result: answer.overallResult,
    allowedBy: named('allowStatements'),
    deniedBy: named('denyStatements'),
    errors: null,
  }
}

function sid(statement) {
  return statement?.Sid ?? statement?.statementObject?.Sid ?? ''
}

for await (const line of createInterface({ input: process.stdin })) {
  const message = JSON.parse(line)
  let answer = {}
  try {
    if (message.documents) policies.set(message.policies, message.documents)
    else answer = await decide(message)
  } catch (error) {
    answer = { result: 'Error', allowedBy: [], deniedBy: [], errors: { message: String(error) } }
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}
