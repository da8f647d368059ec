"""``input.filter`` is a condition on the row's own columns. Nothing else reaches the SQL engine. No file is read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from bulk_sender.config.model import InputConfig
from bulk_sender.errors import ConfigError
from bulk_sender.recipients.condition import NotAConditionError, rewritten
from bulk_sender.recipients.filter import Filter
from tests.kit.command import environment

FRAME = pl.DataFrame(
    {
        "a": ["x", "it's", "b\\"],
        "b": ["1", "2", "3"],
        "n": [1, 2, 3],
        "d": ["2026-01-01", "2026-01-02", "2026-02-03"],
        "t": [True, False, None],
        "s": [{"f": 1}, {"f": 2}, {"f": 3}],
        "l": [["q"], [], ["r", "q"]],
        "select": ["1", "2", "3"],
        'q"r': ["1", "2", "3"],
    }
)

HOSTILE = [
    "a IN (SELECT column_1 FROM read_csv('{path}'))",
    "a in (select column_1 from read_csv('{path}'))",
    "a IN\t(\n SeLeCt\u00a0column_1 FROM\n\tREAD_CSV ( '{path}' ) )",
    "a IN (SELECT a FROM read_parquet('{path}'))",
    "a IN (SELECT a FROM read_ndjson('{path}'))",
    "a IN (SELECT a FROM read_json('{path}'))",
    "a IN (SELECT a FROM read_ipc('{path}'))",
    "a IN (SELECT a FROM scan_csv('{path}'))",
    "a IN (SELECT a FROM '{path}')",
    'a IN (SELECT a FROM "{path}")',
    "a IN (((SELECT a FROM read_csv('{path}'))))",
    "a NOT IN (SELECT a FROM read_csv('{path}'))",
    "a IN (FROM read_csv('{path}'))",
    "a IN (TABLE x)",
    "a IN (VALUES ('x'))",
    "a IN read_csv('{path}')",
    "a = (SELECT a FROM read_csv('{path}') LIMIT 1)",
    "a = ANY (SELECT a FROM read_csv('{path}'))",
    "a > ALL (SELECT a FROM read_csv('{path}'))",
    "EXISTS (SELECT 1 FROM read_csv('{path}'))",
    "NOT EXISTS(SELECT 1 FROM read_csv('{path}'))",
    "exists/**/(select/**/1/**/from/**/read_csv('{path}'))",
    "a = 'x' OR/* */a IN (/* 1 */SELECT/* 2 */column_1 FROM read_csv('{path}')) -- end",
    "a = 'x' -- '\n OR a IN (SELECT column_1 FROM read_csv('{path}')) -- '",
    "a = '\\' OR a IN (SELECT column_1 FROM read_csv('{path}')) --'''",
    "a = 'x'; SELECT * FROM read_csv('{path}')",
    "a = 'x';",
    "a = 'x' UNION SELECT a FROM read_csv('{path}')",
    "WITH w AS (SELECT * FROM read_csv('{path}')) SELECT 1",
    "a IN (WITH w AS (SELECT column_1 FROM read_csv('{path}')) SELECT * FROM w)",
    "CASE WHEN a IN (SELECT column_1 FROM read_csv('{path}')) THEN TRUE ELSE FALSE END",
    "CASE WHEN a = 'x' THEN (SELECT column_1 FROM read_csv('{path}')) = 'y' END",
    "COALESCE(a, (SELECT column_1 FROM read_csv('{path}'))) = 'x'",
    "LOWER((SELECT column_1 FROM read_csv('{path}'))) = 'x'",
    "n BETWEEN (SELECT 1 FROM read_csv('{path}')) AND 3",
    "n IN (1, (SELECT 1 FROM read_csv('{path}')))",
    "l[(SELECT 1 FROM read_csv('{path}'))] = 'q'",
    "EXTRACT(year FROM (SELECT column_1 FROM read_csv('{path}'))) = 1",
    "CAST((SELECT column_1 FROM read_csv('{path}')) AS INT) = 1",
    "a LIKE (SELECT column_1 FROM read_csv('{path}'))",
    "read_csv('{path}')",
    "\"read_csv\"('{path}')",
    "`read_csv`('{path}')",
    "a.read_csv('{path}')",
    "read_parquet('{path}') = 1",
    "a IN (UNNEST(read_csv('{path}')))",
    "LATERAL (SELECT 1)",
    "SELECT * FROM read_csv('{path}')",
    "COPY (SELECT 1) TO '{path}'",
    "ATTACH '{path}'",
    "PRAGMA x",
    "DROP TABLE a",
    "a = {{x}}",
    "a = ?",
    "a = :x",
    "a = $1",
    "COLUMNS('^a$') = 'x'",
    "*",
    "a.*",
    "(" * 5000 + "a = 'x'" + ")" * 5000,
    "a = 'x",
    'a" = 1',
    "a /* = 'x'",
    "",
]

_PROBE = """
import json, sys
import polars as pl
from bulk_sender.config.model import InputConfig
from bulk_sender.errors import ConfigError
from bulk_sender.recipients.filter import Filter

schema = pl.Schema({"a": pl.String(), "n": pl.Int64(), "l": pl.List(pl.String())})
hostile = json.load(sys.stdin)
Filter.of(InputConfig(filter="a = 'x' AND CAST(a AS INT) > 1 OR n IN (1)"), schema)  # import what is needed
opened = []
sys.addaudithook(lambda event, arguments: opened.append(repr(arguments[0])) if event == "open" else None)
passed = []
for condition in hostile:
    try:
        Filter.of(InputConfig(filter=condition), schema)
    except ConfigError as error:
        if "input.filter" not in str(error) or "secret-line" in str(error) or not error.hint:
            passed.append([condition, str(error)])
    else:
        passed.append([condition, "accepted"])
seen = list(opened)
print(json.dumps({"opened": seen, "passed": passed}))
"""


def test_no_file_is_opened_while_hostile_filters_are_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("x:secret-line\nmore\n")
    hostile = [condition.replace("{path}", str(secret)) for condition in HOSTILE]
    ended = subprocess.run(
        [sys.executable, "-c", _PROBE],
        input=json.dumps(hostile),
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
        timeout=120,
    )
    found = json.loads(ended.stdout)
    assert found == {"opened": [], "passed": []}
    assert not ended.stderr


def test_a_file_is_never_read_even_where_no_audit_hook_sees_it(tmp_path: Path) -> None:
    # polars opens files in native code. Its message names the column of a file that it has opened.
    secret = tmp_path / "secret.csv"
    secret.write_text("x:secret-line\n1\n")
    hostile = f"a IN (SELECT column_1 FROM read_csv('{secret}'))"
    with pytest.raises(pl.exceptions.PolarsError, match="secret-line"):  # so the danger is real
        pl.sql_expr(hostile).meta.root_names()
    with pytest.raises(ConfigError) as refused:
        Filter.of(InputConfig(filter=hostile), FRAME.schema)
    assert "secret-line" not in str(refused.value)


@pytest.mark.parametrize(
    ("condition", "part"),
    [
        ("a IN (SELECT x FROM read_csv('/f'))", "it contains a query"),
        ("EXISTS (SELECT 1)", "it contains a query"),
        ("LOWER((SELECT 1)) = 'x'", "it contains a query"),
        ("read_csv('/f') = 'x'", "the function READ_CSV"),
        ("a IN read_csv('/f')", "IN without a list of values"),
        ("LOWERR(a) = 'x'", "did you mean LOWER?"),
        ("a = 'x'; b", "a semicolon"),
        ("a = 'x' UNION SELECT 1", "it is not valid after \"a = 'x' UNION\""),
        ("a = 'x", "a quote is never closed"),
        ("", "it is empty"),
    ],
)
def test_the_refusal_names_the_part_and_the_next_step(condition: str, part: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Filter.of(InputConfig(filter=condition), FRAME.schema)
    assert part in str(refused.value)
    assert refused.value.hint
    assert "condition on the row's own columns" in refused.value.hint


@pytest.mark.parametrize(
    "condition",
    [
        "a = 'x'",
        "a = 'it''s'",
        "a = 'b\\'",
        "a <> 'x' AND NOT t",
        "a != 'x' OR t",
        "n == 1",
        '"q""r" = \'1\'',
        "\"select\" = '2'",
        "`a` = 'x'",
        "s.f = 2",
        '"s"."f" >= 2',
        "l[1] = 'q'",
        "'q' = ANY(l)",
        "ARRAY_CONTAINS(l, 'q')",
        "a ~ '^x' OR a ~* 'S$' OR a !~ 'x'",
        "a LIKE 'x%' OR a NOT LIKE '%s' OR a ILIKE 'X' OR a NOT ILIKE 'X'",
        "a ^@ 'x'",
        "CAST(b AS INT) > 1",
        "b::bigint > 1 AND TRY_CAST(a AS INTEGER) IS NULL",
        "CAST(b AS DECIMAL(10, 2)) > 1.5 OR CAST(b AS DOUBLE) > 2 OR CAST(b AS FLOAT) > 2",
        "CAST(n AS VARCHAR) = '1' OR CAST(n AS TEXT) = '2'",
        "DATE(d) >= DATE '2026-01-02'",
        "DATE(d) + INTERVAL '1 day' > DATE '2026-01-02'",
        "STRPTIME(d, '%Y-%m-%d') > TIMESTAMP '2026-01-01 12:00:00'",
        "STRFTIME(DATE(d), '%m') = '02'",
        "EXTRACT(month FROM DATE(d)) = 2 OR DATE_PART('day', DATE(d)) = 1 OR YEAR(DATE(d)) = 2025",
        "CURRENT_DATE > DATE(d)",
        "t IS TRUE OR t IS NULL",
        "t IS NOT FALSE AND t IS NOT NULL",
        "(a IS DISTINCT FROM b) AND (a IS NOT DISTINCT FROM a)",
        "n BETWEEN 1 AND 2 AND n NOT BETWEEN 2 AND 3",
        "n IN (1, 2) AND n NOT IN (2)",
        "a || b = 'x1'",
        "n % 2 = 1 AND n // 2 = 1 OR n / 2 > 0.9 OR -n < -2 OR n * 2 - 1 + 0 = 1",
        "(n & 1) = 1 OR (n | 1) = 3",
        "n > .5 AND n < 1e3",
        "CASE WHEN n = 1 THEN t ELSE a = 'b\\' END",
        "CASE n WHEN 1 THEN TRUE WHEN 2 THEN FALSE ELSE NULL END",
        "IF(n = 1, t, n = 3)",
        "COALESCE(NULLIF(a, 'x'), IFNULL(b, 'y')) = '1'",
        "GREATEST(n, 2) = 2 AND LEAST(n, 2) = 1",
        "ROUND(n / 3, 1) > 0.5 OR MOD(n, 2) = 0 OR ABS(n) = 1 OR SQRT(n) > 1.7",
        "LOWER(a) = 'x' OR UPPER(a) = 'X' OR INITCAP(a) = 'X'",
        "LENGTH(a) > 1 AND CHAR_LENGTH(a) < 9",
        "LEFT(a, 1) = 'x' OR RIGHT(a, 1) = 's' OR SUBSTR(a, 2, 1) = '\\' OR SUBSTRING(a FROM 1 FOR 1) = 'b'",
        "TRIM(a) = 'x' OR LTRIM(a) = 'x' OR TRIM(LEADING 'x' FROM a) = '' OR TRIM(BOTH 'x' FROM a) = ''",
        "REPLACE(a, 'x', 'y') = 'y' OR REVERSE(a) = 'x' OR CONCAT(a, b) = 'x1' OR CONCAT_WS('-', a, b) = 'x-1'",
        "STARTS_WITH(a, 'x') OR ENDS_WITH(a, 's') OR STRPOS(a, 't') > 0 OR POSITION('t' IN a) > 0",
        "REGEXP_LIKE(a, '^X', 'i')",
        "SPLIT_PART(a, 't', 1) = 'i' OR LPAD(a, 3, '0') = '00x'",
        "a = 'x' -- a comment",
        "a /* a comment */ = 'x'",
        "a = 'SELECT 1 FROM read_csv(x); --'",
        "NOT a = 'x' AND (n = 2 OR n = 3)",
        "TRUE",
    ],
)
def test_a_condition_means_the_same_as_in_polars_own_sql(condition: str) -> None:
    assert FRAME.select(pl.sql_expr(rewritten(condition)).alias("")).to_series().to_list() == (
        FRAME.select(pl.sql_expr(condition).alias("")).to_series().to_list()
    )


@pytest.mark.parametrize("text", ["it's", 'a "quote"', "back\\slash'", "\\' OR 1 = 1 --", "'; --", "x\x00y", "é\n"])
def test_text_and_names_keep_every_character(text: str) -> None:
    quoted, name = text.replace("'", "''"), text.replace('"', '""')
    frame = pl.DataFrame({text: [text, "other"]})
    condition = rewritten(f"\"{name}\" = '{quoted}'")
    assert frame.select(pl.sql_expr(condition).alias("kept")).to_series().to_list() == [True, False]


def test_a_part_that_a_newer_parser_may_add_is_refused() -> None:
    with pytest.raises(NotAConditionError):
        rewritten("a LIKE 'x' ESCAPE '!'")
    with pytest.raises(NotAConditionError):
        rewritten("n BETWEEN SYMMETRIC 3 AND 1")
