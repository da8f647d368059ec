#!/bin/sh
# The step after dbt: a model has been written as a file, now its rows go to Braze.
#
#     dbt run --select winter_recipients --vars '{day: 2026-11-24}' &&
#         examples/dbt_step.sh exports/winter_recipients.parquet winter.toml winter-2026-11-24
#
# (dbt-duckdb writes such a file with materialized='external'; other warehouses have their own UNLOAD or COPY.)
#
# The same run id on every try: a finished run is only reported, a stopped one goes on, nothing is sent twice.
# Ends with bulk-sender's own exit code; 3, "stopped early, can be resumed", is tried again TRIES times.
set -u

input=$1 config=$2 run_id=$3
tries=${TRIES:-5}
pause=${PAUSE_S:-300}

while :; do
    bulk-sender send "$input" --config "$config" --run-id "$run_id" --yes --log-format json
    code=$?
    tries=$((tries - 1))
    if [ "$code" -ne 3 ] || [ "$tries" -le 0 ]; then
        break
    fi
    sleep "$pause"
done

# 1 means finished, but some rows are rejected, failed or unknown. Where rejected rows are an everyday matter, let
# only the others fail the step:
if [ "$code" -eq 1 ] && [ "${REJECTED_ROWS_ARE_FINE:-no}" = yes ]; then
    bulk-sender status "$run_id" --json |
        python3 -c 'import json, sys; told = json.load(sys.stdin); sys.exit(bool(told["failed"] or told["unknown"]))'
    code=$?
fi
exit "$code"
