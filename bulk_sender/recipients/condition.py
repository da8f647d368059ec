"""Parser of ``input.filter``: accepts a condition on one row's own columns, and nothing else.

polars runs sub-queries and table functions while it parses SQL, so ``x IN (SELECT … FROM read_csv('/path'))`` would
open a file. Here another parser reads the text first. A list of allowed parts decides, and polars gets text that is
written from these parts, never the text of the configuration.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from typing import Any, ClassVar

from sqlglot import TokenType, exp
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import ErrorLevel, ParseError, SqlglotError
from sqlglot.parsers.postgres import PostgresParser

_FUNCTION_NAMES = """
abs acos acosd array_contains array_length array_to_string asin asind atan atan2 atan2d atand bit_and bit_length
bit_not bit_or bit_xor cbrt ceil ceiling char_length character_length coalesce concat concat_ws cos cosd cot cotd
date date_part datetime day degrees div ends_with exp floor greatest hour ifnull initcap least left length ln log
log10 log1p log2 lower lpad ltrim minute mod month normalize nullif octet_length pi pow power quarter radians
regexp_like regexp_replace replace reverse right round rpad rtrim second sign sin sind split_part sqrt starts_with
strftime strpos strptime substr substring tan tand time timestamp trim trunc truncate upper week year
"""
_FUNCTIONS = frozenset(_FUNCTION_NAMES.split())
"""Functions of one row's values, by polars' names. None of them reads anything else."""

_OPERATORS: dict[type[exp.Expression], str] = {
    exp.And: "AND",
    exp.Or: "OR",
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.NullSafeEQ: "IS NOT DISTINCT FROM",
    exp.NullSafeNEQ: "IS DISTINCT FROM",
    exp.Is: "IS",
    exp.Like: "LIKE",
    exp.ILike: "ILIKE",
    exp.RegexpLike: "~",
    exp.RegexpILike: "~*",
    exp.StartsWith: "^@",
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
    exp.IntDiv: "//",
    exp.Mod: "%",
    exp.DPipe: "||",
    exp.BitwiseAnd: "&",
    exp.BitwiseOr: "|",
}
_TYPES = {
    "BIGINT": "BIGINT",
    "BOOLEAN": "BOOLEAN",
    "CHAR": "VARCHAR",
    "DATE": "DATE",
    "DATETIME": "TIMESTAMP",
    "DECIMAL": "DECIMAL",
    "DOUBLE": "DOUBLE",
    "FLOAT": "REAL",
    "INT": "INTEGER",
    "SMALLINT": "SMALLINT",
    "TEXT": "VARCHAR",
    "TIME": "TIME",
    "TIMESTAMP": "TIMESTAMP",
    "TINYINT": "TINYINT",
    "VARCHAR": "VARCHAR",
}
"""sqlglot's name of a type → polars' name."""

_PLAIN_WORD = re.compile(r"[A-Za-z_]+")
_NUMBER = re.compile(r"[0-9]*\.?[0-9]*(?:[eE][+-]?[0-9]+)?")
_SHOWN = 60


class NotAConditionError(ValueError):
    """The text is not a condition on one row. The message says which part of it, and why."""


class _Dialect(Postgres):
    """polars' syntax for conditions: names also in backticks, ``//``, and functions by their name as written."""

    INDEX_OFFSET = 0

    class Tokenizer(Postgres.Tokenizer):
        IDENTIFIERS = ['"', "`"]  # noqa: RUF012 - as sqlglot declares it
        KEYWORDS = {**Postgres.Tokenizer.KEYWORDS, "//": TokenType.DIV}  # noqa: RUF012

    class Parser(PostgresParser):
        FUNCTIONS: ClassVar[dict[str, Any]] = {}
        FUNCTION_PARSERS = {  # noqa: RUF012
            name: parser
            for name, parser in PostgresParser.FUNCTION_PARSERS.items()
            if name in ("CAST", "TRY_CAST", "EXTRACT", "POSITION", "SUBSTRING", "TRIM")
        }


def rewritten(text: str) -> str:
    """Return the condition in ``text`` as SQL made only of allowed parts. Raise NotAConditionError for any other."""
    dialect = _Dialect()
    try:
        tokens = dialect.tokenize(text)
        if any(token.token_type == TokenType.SEMICOLON for token in tokens):
            raise NotAConditionError("it contains a semicolon")
        [tree] = dialect.parser().parse_into(exp.Condition, tokens, text)
        if tree is None:
            raise NotAConditionError("it is empty")
        return _sql(tree)
    except ParseError as error:
        detail = error.errors[0] if error.errors else {}
        before = f"{detail.get('start_context') or ''}{detail.get('highlight') or ''}"
        raise NotAConditionError(f"it is not valid after {_short(before)}") from None
    except SqlglotError:
        raise NotAConditionError("a quote is never closed") from None
    except RecursionError:
        raise NotAConditionError("it is nested too deeply") from None


def _sql(node: Any) -> str:
    if (operator := _OPERATORS.get(type(node))) is not None:
        # ``typed`` and ``safe`` say how other engines divide and join; polars has one way.
        _only(node, "this", "expression", "negate", "typed", "safe")
        text = f"({_sql(node.this)} {operator} {_sql(node.expression)})"
        return f"(NOT {text})" if node.args.get("negate") else text
    if (written := _WRITERS.get(type(node))) is None:
        raise NotAConditionError(f"it contains {_named(node)}")
    return written(node)


def _only(node: exp.Expression, *allowed: str) -> None:
    """Refuse a node with any other part: a newer sqlglot may read more into it than this module knows."""
    if any(value for name, value in node.args.items() if name not in allowed and value not in (None, False, [])):
        raise NotAConditionError(f"it contains {_named(node)}")


def _column(node: exp.Column) -> str:
    _only(node, "this", "table", "db", "catalog")
    if not all(isinstance(part, exp.Identifier) for part in node.parts):
        raise NotAConditionError(f"it contains {_named(node)}")
    return ".".join(_identifier(part.name) for part in node.parts)


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(node: exp.Literal) -> str:
    text = str(node.this)
    if node.is_string:
        return "'" + text.replace("'", "''") + "'"
    if not _NUMBER.fullmatch(text):
        raise NotAConditionError(f"{_short(text)} is not a number")
    return text


def _not(node: exp.Not) -> str:
    return f"(NOT {_sql(node.this)})"


def _in(node: exp.In) -> str:
    if node.args.get("query") is not None:
        raise NotAConditionError(f"it contains {_named(node.args['query'])}")
    _only(node, "this", "expressions")
    return f"({_sql(node.this)} IN ({_list(node.expressions)}))"


def _between(node: exp.Between) -> str:
    _only(node, "this", "low", "high")
    return f"({_sql(node.this)} BETWEEN {_sql(node.args['low'])} AND {_sql(node.args['high'])})"


def _case(node: exp.Case) -> str:
    _only(node, "this", "ifs", "default")
    given = f" {_sql(node.this)}" if node.this else ""
    branches = "".join(f" WHEN {_sql(each.this)} THEN {_sql(each.args['true'])}" for each in node.args["ifs"])
    default = f" ELSE {_sql(node.args['default'])}" if node.args.get("default") else ""
    return f"(CASE{given}{branches}{default} END)"


def _if(node: exp.If) -> str:
    _only(node, "this", "true", "false")
    return f"IF({_list([node.this, node.args['true'], node.args.get('false') or exp.Null()])})"


def _cast(node: exp.Cast) -> str:
    _only(node, "this", "to", "_type", "safe")
    kind = node.args["to"]
    _only(kind, "this", "expressions", "nested")
    name = _TYPES.get(getattr(kind.this, "value", ""))
    sizes = [size.this for size in kind.expressions]
    if name is None or not all(isinstance(size, exp.Literal) and not size.is_string for size in sizes):
        raise NotAConditionError(f"it contains a conversion to {_short(kind.sql(unsupported_level=ErrorLevel.IGNORE))}")
    if name in ("DATE", "TIME", "TIMESTAMP") and isinstance(node.this, exp.Literal) and node.this.is_string:
        return f"{name} {_literal(node.this)}"
    size = f"({', '.join(map(_literal, sizes))})" if sizes and name == "DECIMAL" else ""
    return f"{'TRY_CAST' if isinstance(node, exp.TryCast) else 'CAST'}({_sql(node.this)} AS {name}{size})"


def _function(node: exp.Anonymous) -> str:
    if node.name.lower() not in _FUNCTIONS:
        raise NotAConditionError(f"it contains {_named(node)}")
    _only(node, "this", "expressions")
    return f"{node.name.upper()}({_list(node.expressions)})"


def _substring(node: exp.Substring) -> str:
    _only(node, "this", "start", "length")
    return f"SUBSTR({_list([part for part in (node.this, node.args.get('start'), node.args.get('length')) if part])})"


def _trim(node: exp.Trim) -> str:
    _only(node, "this", "expression", "position")
    side = _word(node.args.get("position") or "BOTH")
    if not node.expression:
        return f"TRIM({_sql(node.this)})" if side == "BOTH" else f"{side[0]}TRIM({_sql(node.this)})"
    return f"TRIM({side} {_sql(node.expression)} FROM {_sql(node.this)})"


def _position(node: exp.StrPosition) -> str:
    _only(node, "this", "substr")
    return f"STRPOS({_list([node.this, node.args['substr']])})"


def _extract(node: exp.Extract) -> str:
    _only(node, "this", "expression")
    return f"EXTRACT({_word(node.name)} FROM {_sql(node.expression)})"


def _interval(node: exp.Interval) -> str:
    _only(node, "this", "unit")
    unit = f" {_word(node.args['unit'].name)}" if node.args.get("unit") else ""
    return "INTERVAL '" + str(node.name).replace("'", "''") + unit.lower() + "'"


def _element(node: exp.Bracket) -> str:
    _only(node, "this", "expressions", "offset")
    if len(node.expressions) != 1:
        raise NotAConditionError(f"it contains {_named(node)}")
    return f"{_sql(node.this)}[{_sql(node.expressions[0])}]"


def _any(node: exp.Any) -> str:
    inner = node.this.this if isinstance(node.this, exp.Paren) else node.this
    return f"ANY({_sql(inner)})"


def _list(nodes: list[Any]) -> str:
    return ", ".join(map(_sql, nodes))


def _word(text: str) -> str:
    if not _PLAIN_WORD.fullmatch(text):
        raise NotAConditionError(f"it contains {_short(text)}")
    return text.upper()


def _named(node: exp.Expression) -> str:
    """Return a part that is refused, as a person would name it."""
    text = _short(node.sql(comments=False, unsupported_level=ErrorLevel.IGNORE))
    if isinstance(node, exp.Query | exp.Exists) or node.find(exp.Query) is not None:
        return f"a query ({text})"
    if isinstance(node, exp.In) and node.args.get("field") is not None:
        return f"IN without a list of values ({text})"
    if isinstance(node, exp.Func):
        name = (node.name if isinstance(node, exp.Anonymous) else node.sql_name()).lower()
        near = difflib.get_close_matches(name, sorted(_FUNCTIONS), n=1, cutoff=0.7)
        meant = f" (did you mean {near[0].upper()}?)" if near else ""
        return f"the function {name.upper()[:_SHOWN]}, which a filter cannot use{meant}"
    return text


def _short(text: str) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


_WRITERS: dict[type[exp.Expression], Callable[[Any], str]] = {
    exp.Column: _column,
    exp.Literal: _literal,
    exp.Boolean: lambda node: "TRUE" if node.this else "FALSE",
    exp.Null: lambda node: "NULL",
    exp.Paren: lambda node: f"({_sql(node.this)})",
    exp.Neg: lambda node: f"-{_sql(node.this)}",
    exp.Not: _not,
    exp.In: _in,
    exp.Between: _between,
    exp.Case: _case,
    exp.If: _if,
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.Anonymous: _function,
    exp.Substring: _substring,
    exp.Trim: _trim,
    exp.StrPosition: _position,
    exp.Extract: _extract,
    exp.Interval: _interval,
    exp.Bracket: _element,
    exp.Any: _any,
    exp.CurrentDate: lambda node: "CURRENT_DATE",
    exp.CurrentTimestamp: lambda node: "CURRENT_TIMESTAMP",
}
