-- How many batches a second the sandbox takes: a body of 50 recipients, about 11 kB, over and over.
--
--   python -m bulk_sender.sandbox --port 8931 --counts-only --limit 1000000000
--   wrk -t1 -c16 -d10s -s benchmarks/sandbox/post_batch.lua http://127.0.0.1:8931/campaigns/trigger/send

local recipients = {}
for number = 1, 50 do
  recipients[number] = string.format(
    '{"external_user_id":"user-%07d","trigger_properties":{"first_name":"Name %d","order":{"total":%d.5,'
      .. '"currency":"EUR"},"items":["a","b"],"link":"https://example.com/offers/%d"},'
      .. '"attributes":{"loyalty_tier":"gold","points":%d,"country":"FR"}}',
    number, number, number, number, number)
end

wrk.method = "POST"
wrk.headers["Authorization"] = "Bearer sandbox-key"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"campaign_id":"benchmark","broadcast":false,"recipients":[' .. table.concat(recipients, ",") .. "]}"
