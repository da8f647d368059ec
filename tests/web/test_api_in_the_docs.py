"""The page about the HTTP API names each route, role and code, and its commands are requests that are described."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

from bulk_sender.web.api_routes import openapi
from bulk_sender.web.problems import TITLES
from bulk_sender.web.roles import NEEDED

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "http-api.md").read_text(encoding="utf-8")
API = "/api/v1"


def test_the_table_has_each_route_with_its_role() -> None:
    listed = set(re.findall(r"^\| `(GET|PUT|POST) (/api/v1[^`]*)` \| `(\w+)` \|", PAGE, re.MULTILINE))
    assert listed == {(*route, role.value) for route, role in NEEDED.items() if route[1].startswith(API)}


def test_the_table_has_each_code_once() -> None:
    listed = re.findall(r"^\| `(\w+)` \| \d{3} \|", PAGE, re.MULTILINE)
    assert sorted(listed) == sorted(TITLES)


def test_the_commands_are_requests_that_are_described() -> None:
    [block] = re.findall(r"```sh\n(api=.*?)```", PAGE, re.DOTALL)
    asked = [command(line) for line in block.splitlines() if line.startswith("curl")]
    assert [f"{method.upper()} {path}" for method, path, _ in asked] == [
        "POST /api/v1/uploads",
        "PUT /api/v1/uploads/{draft}",
        "GET /api/v1/drafts/{draft}",
        "PUT /api/v1/drafts/{draft}",
        "POST /api/v1/drafts/{draft}/check",
        "GET /api/v1/drafts/{draft}",
        "POST /api/v1/drafts/{draft}/launch",
        "GET /api/v1/runs/{run}",
    ]
    for method, path, body in asked:
        described = openapi()["paths"][path][method]
        if body is not None:
            [reference] = described["requestBody"]["content"]["application/json"]["schema"].values()
            schema = openapi()["components"]["schemas"][reference.rpartition("/")[2]]
            assert set(schema["required"]) <= set(body) <= set(schema["properties"])


def command(line: str) -> tuple[str, str, dict[str, Any] | None]:
    """Return method, route and JSON of a curl command."""
    told = shlex.split(line)[1:]
    options, address = list(zip(told[:-1:2], told[1:-1:2], strict=True)), told[-1]
    assert ("-H", "$token") in options
    data = next((value for name, value in options if name == "-d"), None)
    method = dict(options).get("-X", "POST" if data is not None else "GET").lower()
    path = address.replace("$api", API).replace("$RUN", "{run}").replace("$ID", "{draft}").partition("?")[0]
    return method, path, json.loads(data) if data is not None else None
