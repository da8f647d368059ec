#!/bin/sh
# The step after dbt: a model has been written to a file, and its rows are sent to Braze.
#
#     dbt run --select winter_recipients --vars '{day: 2026-11-24}' &&
#         examples/dbt_step.sh exports/winter_recipients.parquet winter.toml winter-2026-11-24
#
# (dbt-duckdb writes such a file with materialized='external'; other warehouses have UNLOAD or COPY.)
#
# The run id is the same on every attempt: a finished run is only reported, a stopped one is resumed, and nothing is
# sent twice. Exits with bulk-sender's exit code. After 3, "stopped early, can be resumed", it tries again, up to TRIES
# times in all.
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

# 1 means finished, but some rows are rejected, failed or unknown. If rejected rows are normal for you, let
# only the others fail the step:
if [ "$code" -eq 1 ] && [ "${REJECTED_ROWS_ARE_FINE:-no}" = yes ]; then
    bulk-sender status "$run_id" --json |
        python3 -c 'import json, sys; run = json.load(sys.stdin); sys.exit(bool(run["failed"] or run["unknown"]))'
    code=$?
fi
exit "$code"
