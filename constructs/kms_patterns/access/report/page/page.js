'use strict'
const data = JSON.parse(document.getElementById('data').textContent)
const element = (name, text, attributes = {}) => {
  const made = document.createElement(name)
  if (text !== undefined) made.textContent = text
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value)
  return made
}
const find = document.getElementById('find')
const chosen = document.getElementById('resource')
const used = document.getElementById('used')
const main = document.getElementById('main')
const detail = document.getElementById('detail')

const cells = new Map()
for (const [resource, principal, action, target, scope, condition, statements] of data.cells) {
  const key = [resource, principal, target, action].join('\n')
  if (!cells.has(key)) cells.set(key, [])
  cells.get(key).push({ scope, condition: data.conditions[condition], statements })
}
const marks = new Map((data.marks ?? []).map(([resource, principal, action, kind]) => [[resource, principal, action].join('\n'), kind]))
const touched = new Set((data.marks ?? []).map(([resource]) => resource))
const order = ['use', 'delegate', 'administer', 'inspect', 'object', 'bucket', 'invoke', 'function', 'assume']
const place = (group) => order.findIndex((name) => group.startsWith(name))
const shown = data.resources.filter(([, kind]) => kind !== 'role')
const synthetic = new Set(data.principals.filter(([, kind]) => ['administrator', 'any-role', 'outsider'].includes(kind)).map(([id]) => id))

const counted = (number, noun) => `${number} ${noun}${number === 1 ? '' : 's'}`

function state(entries) {
  if (!entries) return 'denied'
  const general = entries.find((entry) => entry.scope === null)
  if (!general) return 'scoped'
  return general.condition === 'always' ? 'always' : 'conditional'
}

function matches(words, text) {
  const lower = text.toLowerCase()
  return words.every((word) => lower.includes(word))
}

// The principals that reach a resource, as rows of its kind's table; null if nothing of it matches what is looked for.
function rowsOf([resource, kind, , stack], words) {
  const actions = data.actions[kind]
  const rows = []
  for (const [id, , name, home] of data.principals) {
    const found = actions.map(([action, target]) => cells.get([resource, id, target, action].join('\n')))
    if (used.checked && !found.some(Boolean)) continue
    const shownName = home === stack ? name.replace(`${stack}/`, '') : name
    const text = [name, resource, ...found.flatMap((entries, place) =>
      entries ? [actions[place][0], ...entries.map((entry) => `${entry.condition} ${entry.scope ?? ''}`)] : [])].join(' ')
    if (matches(words, text)) rows.push([id, shownName, found])
  }
  return rows.length > 0 ? rows : null
}

// One section per kind with one header: a body of rows for each resource; functions that only administrators reach last.
function heatMap(kind, resources, words) {
  const found = resources.map((resource) => [resource, rowsOf(resource, words)]).filter(([, rows]) => rows)
  if (found.length === 0) return null
  const all = found.flatMap(([, rows]) => rows)
  const columns = data.actions[kind].map((action, place) => [action, place]).filter(([[action], place]) =>
    words.length === 0 || all.some(([, , entries]) => entries[place]) || words.some((word) => action.toLowerCase().includes(word)))
  columns.sort((one, other) => place(one[0][2]) - place(other[0][2]) || one[0][2].localeCompare(other[0][2]) || one[0][0].localeCompare(other[0][0]))
  const section = element('section', undefined, { id: `kind-${kind}` })
  section.append(element('h2', `${kind}s`))
  const lonely = kind === 'function' && words.length === 0 && !chosen.value
    ? found.filter(([[resource], rows]) => !touched.has(resource) && rows.every(([id]) => synthetic.has(id))) : []
  const shownHere = found.filter((item) => !lonely.includes(item))
  if (shownHere.length > 0) section.append(table(columns, shownHere))
  if (lonely.length > 0) {
    const more = element('details', undefined, { class: 'lonely' })
    more.append(element('summary', `${counted(lonely.length, 'function')} that only the account's administrators reach`), table(columns, lonely))
    section.append(more)
  }
  return section
}

function table(columns, found) {
  const made = element('table', undefined, { class: 'heat' })
  made.append(heading(columns))
  for (const [[resource, kind, label, stack, key, role], rows] of found) {
    const body = element('tbody', undefined, { 'data-resource': resource, id: anchor(resource) })
    const title = element('tr')
    const cell = element('th', `${kind} ${label} `, { class: 'resource', scope: 'rowgroup', colspan: columns.length + 1 })
    const home = [stack, key && `objects also need ${key}`, role && `who invokes it acts as ${role}`].filter(Boolean)
    cell.append(element('small', home.join(' – ')))
    title.append(cell)
    body.append(title)
    for (const [id, name, entries] of rows) body.append(line(resource, id, name, columns, entries))
    made.append(body)
  }
  const scroll = element('div', undefined, { class: 'scroll' })
  scroll.append(made)
  return scroll
}

const anchor = (resource) => `resource-${data.resources.findIndex(([id]) => id === resource)}`

function heading(columns) {
  const head = element('thead')
  const groups = element('tr')
  const names = element('tr')
  groups.append(element('th'))
  names.append(element('th'))
  let last = null
  for (const [[action, , group]] of columns) {
    if (group !== last) {
      const width = columns.filter(([[, , other]]) => other === group).length
      const cell = element('th', undefined, { class: `group first${group.length * 7 > width * 18 ? ' narrow' : ''}`, colspan: width })
      cell.append(element('span', group))
      groups.append(cell)
    }
    const cell = element('th', undefined, { class: group === last ? 'action' : 'action first', scope: 'col' })
    cell.append(element('span', action.split(':')[1]))
    names.append(cell)
    last = group
  }
  head.append(groups, names)
  return head
}

function line(resource, principal, name, columns, found) {
  const row = element('tr')
  row.append(element('th', name, { class: 'who', scope: 'row', title: name }))
  let last = null
  for (const [[action, , group], place] of columns) {
    const entries = found[place]
    const kind = state(entries)
    const mark = marks.get([resource, principal, action].join('\n')) ?? ''
    const classes = [kind, mark, group === last ? '' : 'first'].filter(Boolean).join(' ')
    const cell = element('td', undefined, { class: classes, title: `${name}: ${action}: ${describe(entries)}${mark ? ` (${mark})` : ''}` })
    cell.append(element('b'))
    if (entries) {
      cell.tabIndex = 0
      cell.setAttribute('role', 'button')
      cell.setAttribute('aria-label', `${name}: ${action}: ${describe(entries)}`)
      const open = () => explain(resource, name, action, entries)
      cell.addEventListener('click', open)
      cell.addEventListener('keydown', (event) => { if (event.key === 'Enter' || event.key === ' ') open() })
    }
    row.append(cell)
    last = group
  }
  return row
}

const describe = (entries) => entries ? entries.map((entry) => `${entry.scope ? `objects ${entry.scope} ` : ''}${entry.condition}`).join('; ') : 'denied'

function explain(resource, name, action, entries) {
  detail.replaceChildren()
  const close = element('button', 'Close', { type: 'button' })
  close.addEventListener('click', () => { detail.hidden = true })
  detail.append(close, element('h3', `${action}`), element('p', `${name}, on ${resource}`))
  for (const entry of entries) {
    if (entry.scope) detail.append(element('p', `objects ${entry.scope}`))
    detail.append(element('p', entry.condition === 'always' ? 'always' : `when ${entry.condition}`, { class: 'when' }))
    for (const number of entry.statements) {
      const [policy, index, text] = data.statements[number]
      detail.append(element('p', `${policy}, statement ${index}`), element('pre', text))
    }
  }
  detail.hidden = false
  close.focus()
}

function list(title, headings, lines, classes = []) {
  const section = element('section', undefined, { id: `list-${title.replaceAll(/[^A-Za-z]+/g, '-')}` })
  section.append(element('h2', title))
  const scroll = element('div', undefined, { class: 'scroll' })
  const table = element('table', undefined, { class: 'list' })
  const head = element('tr')
  for (const name of headings) head.append(element('th', name))
  table.append(head)
  lines.forEach((texts, place) => {
    const row = element('tr', undefined, classes[place] ? { class: classes[place] } : {})
    for (const text of texts) row.append(element('td', text))
    table.append(row)
  })
  scroll.append(table)
  section.append(scroll)
  return section
}

function trusts(words) {
  const found = data.cells.filter(([, , , target]) => target === 'role').map(([resource, principal, action, , , condition]) =>
    [resource, data.principals.find(([id]) => id === principal)[2], action, data.conditions[condition]])
  return found.filter((texts) => matches(words, texts.join(' ')) && (!chosen.value || chosen.value === texts[0]))
}

function draw() {
  const words = find.value.toLowerCase().split(/\s+/).filter(Boolean)
  main.replaceChildren()
  if (data.changes) {
    const changes = data.changes.filter((change) => matches(words, Object.values(change).flat().join(' ')))
    main.append(list('Changes', ['', 'who', 'on', 'actions', 'was', 'now', 'for example'], changes.map((change) =>
      [change.kind, change.who, change.what, change.actions.join(', '), change.old ?? '–', change.new ?? '–', change.examples.join('; ')]), changes.map((change) => change.kind)))
    for (const [title, texts] of data.besides) main.append(list(title, ['what'], texts.map((text) => [text])))
    if (data.otherKeys.length > 0) main.append(list('Objects under another key', ['bucket'], data.otherKeys.map((text) => [text])))
    if (data.newlyUnresolved.length > 0) main.append(list('Newly unresolved', ['what'], data.newlyUnresolved.map((text) => [text])))
  }
  const wanted = shown.filter(([id]) => (!chosen.value || chosen.value === id) &&
    !(data.changes && !chosen.value && words.length === 0 && !touched.has(id)))
  for (const kind of new Set(wanted.map(([, kind]) => kind))) {
    const section = heatMap(kind, wanted.filter(([, other]) => other === kind), words)
    if (section) main.append(section)
  }
  const roles = trusts(words)
  if (roles.length > 0) main.append(list('Who may assume the roles', ['role', 'who', 'action', 'when'], roles))
  const paths = data.escalations.filter((texts) => matches(words, texts.join(' ')) && (!chosen.value || chosen.value === texts[0]))
  if (paths.length > 0) main.append(list('Who can come to use a key', ['key', 'who', 'how'], paths))
  if (data.unresolved.length > 0) main.append(list('Not resolved', ['where', 'what', 'why'], data.unresolved))
  contents()
}

function contents() {
  const nav = document.getElementById('contents')
  nav.replaceChildren()
  for (const section of main.querySelectorAll('section')) {
    const entry = element('details')
    const link = (target, text) => element('a', text, { href: `#${target}` })
    const summary = element('summary')
    summary.append(link(section.id, section.querySelector('h2').textContent))
    const bodies = [...section.querySelectorAll('tbody[data-resource]')]
    entry.append(summary, ...bodies.map((body) => link(body.id, body.dataset.resource)))
    nav.append(entry)
  }
}

const ofKind = (kind) => counted(data.resources.filter(([, other]) => other === kind).length, kind)
for (const [id] of shown) chosen.append(element('option', id, { value: id }))
document.getElementById('summary').textContent =
  `${data.only && `Only ${data.only}: `}${ofKind('key')}, ${ofKind('bucket')}, ${counted(data.principals.length, 'principal')}, ${counted(data.cells.length, 'reachable action')}. Click a cell for its condition and statement.`
document.getElementById('footer').append(...data.footer.map((text) => element('div', text)))
document.getElementById('filters').addEventListener('submit', (event) => event.preventDefault())
document.addEventListener('keydown', (event) => { if (event.key === 'Escape') detail.hidden = true })
for (const input of [find, chosen, used]) input.addEventListener('input', draw)
draw()
