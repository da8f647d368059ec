// Calls every endpoint of the sandbox that braze-api has a function for, and prints what came of each as JSON.
// Usage: node use.cjs URL KEY

const { Braze } = require('braze-api');

const [url, key] = process.argv.slice(2);
const braze = new Braze(url, key);
const recipients = [{ external_user_id: 'u1', trigger_properties: { name: 'Ann' } }];

async function outcome(call) {
  try {
    return { answer: await call() };
  } catch (error) {
    return { message: error.message, status: error.status, errors: error.errors };
  }
}

async function main() {
  const done = {
    campaign: await outcome(() => braze.campaigns.trigger.send({ campaign_id: 'campaign-1', recipients })),
    broadcast: await outcome(() => braze.campaigns.trigger.send({ campaign_id: 'campaign-1', broadcast: true })),
    canvas: await outcome(() =>
      braze.canvas.trigger.send({
        canvas_id: 'canvas-1',
        recipients: [{ external_user_id: 'u1', canvas_entry_properties: { step: 1 } }],
      }),
    ),
    details: await outcome(() => braze.campaigns.details({ campaign_id: 'campaign-1' })),
    send_id: await outcome(() => braze.sends.id.create({ campaign_id: 'campaign-1', send_id: 'winter' })),
    export: await outcome(() =>
      braze.users.export.ids({
        external_ids: ['u1'],
        fields_to_export: ['external_id', 'campaigns_received', 'canvases_received'],
      }),
    ),
    unknown_campaign: await outcome(() => braze.campaigns.trigger.send({ campaign_id: 'other', recipients })),
    nobody: await outcome(() => braze.campaigns.trigger.send({ campaign_id: 'campaign-1', recipients: [] })),
    not_served: await outcome(() => braze.users.track({ attributes: [{ external_id: 'u1' }] })),
    wrong_key: await outcome(() =>
      new Braze(url, 'another-key').campaigns.trigger.send({ campaign_id: 'campaign-1', recipients }),
    ),
  };
  console.log(JSON.stringify(done));
}

main();
