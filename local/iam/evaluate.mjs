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

// iam-simulate ignores keys whose variable part follows a colon. A key of any name with the same semantics is
// evaluated instead, in policies and requests.
function withKnownKeys(tree) {
  const text = JSON.stringify(tree ?? null)
  return JSON.parse(text.replace(/"kms:EncryptionContext:/gi, '"aws:PrincipalTag/kms:EncryptionContext:')) ?? undefined
}

async function decide(request) {
  const owner = account.exec(request.principal)[1]
  const simulation = {
    request: {
      principal: request.principal,
      action: request.action,
      resource: { resource: request.resource, accountId: owner },
      contextVariables: withKnownKeys(request.context),
    },
    identityPolicies: policies.get(request.policies),
    serviceControlPolicies: [],
    resourceControlPolicies: [],
    resourcePolicy: withKnownKeys(request.resourcePolicy),
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
    if (message.documents) policies.set(message.policies, withKnownKeys(message.documents))
    else answer = await decide(message)
  } catch (error) {
    answer = { result: 'Error', allowedBy: [], deniedBy: [], errors: { message: String(error) } }
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}
