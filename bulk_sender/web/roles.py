"""Roles of people, and the role that each route needs.

The one table that decides who may do what. A route without an entry is refused, and a test walks the routes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a person may do. ``PUBLIC`` needs no session."""

    PUBLIC = "public"
    LOOK = "look"
    PREPARE = "prepare"
    APPROVE = "approve"
    PERSONAL = "personal"


ALL = frozenset(Role)

NEEDED: Mapping[tuple[str, str], Role] = {
    ("GET", "/healthz"): Role.PUBLIC,
    ("GET", "/metrics"): Role.PUBLIC,
    ("GET", "/login"): Role.PUBLIC,
    ("GET", "/static/{name}"): Role.PUBLIC,
    ("GET", "/"): Role.LOOK,
    ("GET", "/people"): Role.LOOK,
    ("GET", "/runs/{run}"): Role.LOOK,
    ("GET", "/runs/{run}/live"): Role.LOOK,
    ("GET", "/api/v1/runs/{run}/events"): Role.LOOK,
    ("POST", "/runs/{run}/stop"): Role.PREPARE,
    ("POST", "/runs/{run}/resume"): Role.PREPARE,
    ("POST", "/runs/{run}/first-rows"): Role.APPROVE,
    ("GET", "/runs/{run}/decide"): Role.LOOK,
    ("POST", "/runs/{run}/decide"): Role.APPROVE,
    ("POST", "/runs/{run}/ask"): Role.PREPARE,
    ("GET", "/runs/{run}/asking"): Role.LOOK,
    ("POST", "/runs/{run}/retry"): Role.APPROVE,
    ("GET", "/runs/{run}/fix"): Role.PREPARE,
    ("POST", "/runs/{run}/fix"): Role.PREPARE,
    ("POST", "/runs/{run}/fix/upload"): Role.PREPARE,
    ("GET", "/runs/{run}/rows/{row:int}"): Role.LOOK,
    ("POST", "/runs/{run}/personal"): Role.PERSONAL,
    ("GET", "/runs/{run}/report"): Role.LOOK,
    ("POST", "/runs/{run}/report"): Role.PREPARE,
    ("GET", "/runs/{run}/files/{name}"): Role.PERSONAL,
    ("GET", "/runs/{run}/{name}.{kind}"): Role.PERSONAL,
    ("GET", "/new"): Role.PREPARE,
    ("POST", "/new"): Role.PREPARE,
    ("POST", "/new/from-server"): Role.PREPARE,
    ("POST", "/new/{draft}/delete"): Role.PREPARE,
    ("GET", "/new/{draft}"): Role.PREPARE,
    ("POST", "/new/{draft}"): Role.PREPARE,
    ("POST", "/new/{draft}/preview"): Role.PREPARE,
    ("GET", "/new/{draft}/check"): Role.PREPARE,
    ("POST", "/new/{draft}/check"): Role.PREPARE,
    ("GET", "/new/{draft}/fix"): Role.PREPARE,
    ("POST", "/new/{draft}/fix"): Role.PREPARE,
    ("GET", "/new/{draft}/progress"): Role.PREPARE,
    ("POST", "/new/{draft}/stop"): Role.PREPARE,
    ("GET", "/new/{draft}/rejected"): Role.PERSONAL,
    ("GET", "/new/{draft}/rehearse"): Role.PREPARE,
    ("POST", "/new/{draft}/rehearse"): Role.PREPARE,
    ("GET", "/new/{draft}/test"): Role.PREPARE,
    ("POST", "/new/{draft}/test"): Role.PREPARE,
    ("POST", "/new/{draft}/test/send"): Role.PREPARE,
    ("GET", "/api/v1/openapi.json"): Role.LOOK,
    ("GET", "/api/v1/runs"): Role.LOOK,
    ("GET", "/api/v1/runs/{run}"): Role.LOOK,
    ("GET", "/api/v1/runs/{run}/rows"): Role.LOOK,
    ("POST", "/api/v1/runs/{run}/stop"): Role.PREPARE,
    ("GET", "/new/{draft}/review"): Role.PREPARE,
    ("GET", "/new/{draft}/look"): Role.PREPARE,
    ("POST", "/new/{draft}/options"): Role.PREPARE,
    ("POST", "/new/{draft}/ask"): Role.PREPARE,
    ("POST", "/new/{draft}/send"): Role.PREPARE,
    ("GET", "/new/{draft}/owner"): Role.PREPARE,
    ("POST", "/new/{draft}/owner"): Role.PREPARE,
    ("GET", "/approvals/{draft}"): Role.APPROVE,
    ("GET", "/approvals/{draft}/look"): Role.APPROVE,
    ("POST", "/approvals/{draft}"): Role.APPROVE,
    ("POST", "/api/v1/uploads"): Role.PREPARE,
    ("GET", "/api/v1/uploads/{draft}"): Role.PREPARE,
    ("PUT", "/api/v1/uploads/{draft}"): Role.PREPARE,
    ("GET", "/api/v1/drafts/{draft}"): Role.PREPARE,
    ("PUT", "/api/v1/drafts/{draft}"): Role.PREPARE,
    ("POST", "/api/v1/drafts/{draft}/check"): Role.PREPARE,
    ("POST", "/api/v1/drafts/{draft}/launch"): Role.PREPARE,
    ("GET", "/settings"): Role.LOOK,
    ("GET", "/settings/audit"): Role.APPROVE,
    ("POST", "/settings/key"): Role.PREPARE,
    ("POST", "/sign-out"): Role.LOOK,
}
"""(method, path of the route) → role. HEAD needs what GET needs."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who is there, and what they may do."""

    name: str
    roles: frozenset[Role] = ALL

    def may(self, role: Role) -> bool:
        return role is Role.PUBLIC or role in self.roles
