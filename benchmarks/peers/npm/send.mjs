// braze-api behind p-limit: node send.mjs URL FILE prints what it believes as one line of JSON.
import { readFileSync } from 'node:fs'

import { Braze } from 'braze-api'
import pLimit from 'p-limit'
import Papa from 'papaparse'

const BATCH = 50
const limit = pLimit(16)
const [url, file] = process.argv.slice(2)
const braze = new Braze(url, 'bench-key')

const [columns, ...rows] = Papa.parse(readFileSync(file, 'utf8'), { skipEmptyLines: true }).data
const places = columns.map((column) => column.split('.'))

const recipient = (row) => {
  const made = { trigger_properties: {}, attributes: {} }
  places.forEach(([group, name], column) => {
    if (name) made[group][name] = row[column]
    else made[group] = row[column]
  })
  return made
}

const batches = []
for (let first = 0; first < rows.length; first += BATCH) {
  batches.push(rows.slice(first, first + BATCH).map(recipient))
}

const send = (recipients) => braze.campaigns.trigger.send({ campaign_id: 'bench', broadcast: false, recipients })
const answers = await Promise.allSettled(batches.map((batch) => limit(send, batch)))

let claimed = 0
answers.forEach(({ status }, number) => {
  if (status === 'fulfilled') claimed += batches[number].length
})
console.log(JSON.stringify({ claimed, failed: rows.length - claimed }))
