"""The part of the HTTP API that prepares a send: an upload is a draft, with columns, a place, a check and a launch.

A program takes the same steps as a person on the page, by the same code. It works only on drafts that it uploaded. What
a second person has to approve, it cannot send.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import bulk_sender as bs
from bulk_sender.web import drafts, going, mapping, show
from bulk_sender.web.desk import Desk
from bulk_sender.web.drafts import IS_CHECKED, Draft, IllegalStepError, Step
from bulk_sender.web.forms import MOST_FIELDS, body
from bulk_sender.web.launching import Launch, NeedsSecondPersonError
from bulk_sender.web.mapping import Choice, Choices
from bulk_sender.web.problems import problem
from bulk_sender.web.site import Site
from bulk_sender.web.store import Entry

KEY_HEADER = "Idempotency-Key"
CHANGEABLE = ("version", "columns", "label", "reading", "profile", "kind", "target", "canary")
_COLUMN = ("column", "use", "name", "type", "format")
_COUNTS = ("rows", "valid", "rejected", "duplicate", "filtered", "requests")
_LARGEST = 10**12


class DraftApi:
    """The functions behind ``/api/v1/drafts``."""

    def __init__(self, site: Site, desk: Desk) -> None:
        self._site, self._desk = site, desk
        self._launch = Launch(site, desk)

    def routes(self) -> list[Route]:
        return [
            Route("/api/v1/drafts/{draft}", self.draft),
            Route("/api/v1/drafts/{draft}", self.change, methods=["PUT"]),
            Route("/api/v1/drafts/{draft}/check", self.check, methods=["POST"]),
            Route("/api/v1/drafts/{draft}/launch", self.launch, methods=["POST"]),
        ]

    def draft(self, request: Request) -> Response:
        """Return a draft: how its file is read, what its columns are, where it goes, and what the check found."""
        return JSONResponse(self._told(self._mine(request)))

    async def change(self, request: Request) -> Response:
        """Save what the columns are, how to read the file, and where it goes. What is not given stays."""
        told = await _object(request)
        return await anyio.to_thread.run_sync(self._changed, request, told)

    async def check(self, request: Request) -> Response:
        """Begin the check of all rows. It has ended when the draft is not in the step ``checking`` any more."""
        return await anyio.to_thread.run_sync(self._checked, request)

    async def launch(self, request: Request) -> Response:
        """Begin the run, once for its name."""
        told = await _object(request)
        return await anyio.to_thread.run_sync(self._launched, request, told)

    def _mine(self, request: Request) -> Draft:
        """Return the draft of a request. One of another person is not there."""
        found, who = self._site.store.draft(request.path_params["draft"]), request.scope["person"].name
        if found is None or found.person != who:
            raise MissingError("there is no such draft of yours", hint="upload a file first: its id is the draft's")
        if self._site.uploads.settle(found).step is Step.UPLOADING:
            raise NotReadyError("the file has not arrived yet", hint=f"send the rest: PUT /api/v1/uploads/{found.id}")
        return self._desk.any(request)

    def _changed(self, request: Request, told: Mapping[str, Any]) -> Response:
        draft, who = self._mine(request), request.scope["person"].name
        refuse_unknown(told, CHANGEABLE, "")
        version = _number(told, "version")
        goes = self._goes(draft, told)
        choices = self._choices(draft, told)
        config = choices.to_dict()
        draft = self._site.store.change(
            draft.id,
            lambda found: drafts.mapped(found, config, who, goes),
            Entry(who, "chose the columns"),
            version=version,
        )
        return JSONResponse(self._told(draft))

    def _choices(self, draft: Draft, told: Mapping[str, Any]) -> Choices:
        reading = reading_of(told["reading"]) if "reading" in told else None
        columns = columns_of(told["columns"]) if "columns" in told else None
        try:
            if reading is not None:
                before = mapping.suggested(self._desk.path(draft), reading)
            else:
                before = self._desk.choices(draft)
        except (bs.ConfigError, bs.InputError) as error:
            raise DraftError("reading", show.said(str(error)), show.said(error.hint)) from None
        if columns is not None:
            names = [each.column for each in before.columns]
            if not columns.keys() <= set(names):
                raise DraftError("columns.column", "the file has no such column", "GET the draft to see its columns")
            before = replace(before, columns=tuple(columns.get(name, Choice(name)) for name in names))
        if "label" in told:
            before = replace(before, label=_text(told, "label").strip())
        return before

    def _goes(self, draft: Draft, told: Mapping[str, Any]) -> Mapping[str, Any]:
        named = {name: _text(told, name) for name in ("profile", "kind", "target") if name in told}
        canary = _number(told, "canary") if "canary" in told else None
        if not named and canary is None:
            return draft.goes
        if named.get("profile") and named["profile"] not in self._site.profiles:
            raise DraftError("profile", "there is no such profile", "name one of the page's settings")
        if "kind" in named and named["kind"] not in going.KINDS:
            raise DraftError("kind", "this is not a kind", f"give one of {', '.join(going.KINDS)}")
        before = {name: str(draft.goes.get(name, "")) for name in ("profile", "kind", "target")}
        goes = going.place(before | named, self._site.profiles, draft.goes)
        profile = self._site.profiles.get(goes.get("profile", ""))
        if canary is not None and profile is not None:
            for found in going.option_problems(canary, {}, profile).values():
                raise DraftError("canary", found, f"give {profile.canary} or more")
            goes = {**goes, "canary": canary}
        return goes

    def _checked(self, request: Request) -> Response:
        draft, who = self._mine(request), request.scope["person"].name
        found = [*self._problems(draft)]
        if found and draft.step is not Step.CHECKING:
            raise NotReadyError(found[0], hint=" ".join(found[1:]))
        self._desk.begin_check(draft, who, draft.version)
        return JSONResponse(self._told(self._mine(request)), HTTPStatus.ACCEPTED)

    def _launched(self, request: Request, told: Mapping[str, Any]) -> Response:
        draft, who = self._mine(request), request.scope["person"].name
        key = request.headers.get(KEY_HEADER, "")
        if not key:
            raise DraftError(KEY_HEADER, f"the header {KEY_HEADER} is missing", "give the draft's run_id")
        refuse_unknown(told, ("recipients",), "")
        recipients = _number(told, "recipients")
        if not draft.run_id:
            raise NotReadyError("the send was not checked", hint="check all rows first")
        if key != draft.run_id:
            raise AnotherKeyError(
                f"{KEY_HEADER} is not the draft's run_id", hint="look at the draft again: it was checked again or sent"
            )
        if draft.step is Step.LAUNCHED:
            return self._begun(draft, HTTPStatus.OK)
        if draft.step not in IS_CHECKED:
            raise NotReadyError("the send was not checked", hint="check all rows first")
        if recipients != draft.report["valid"]:
            raise WrongCountError(
                f"the check found {draft.report['valid']} recipients, not {recipients}", hint="look at the draft again"
            )
        try:
            return self._begun(self._launch(draft, who, draft.offer, by_program=True), HTTPStatus.ACCEPTED)
        except NeedsSecondPersonError as error:
            return problem(error, HTTPStatus.FORBIDDEN)

    def _begun(self, draft: Draft, status: HTTPStatus) -> Response:
        return JSONResponse({"run_id": draft.run_id, "run": f"/api/v1/runs/{draft.run_id}"}, status)

    def _problems(self, draft: Draft) -> Iterator[str]:
        if draft.step is Step.UPLOADED:
            yield "nobody has said what the columns are: PUT the draft, at least with its version"
            return
        yield from self._desk.choices(draft).problems()
        yield from going.place_problems(draft.goes, self._site.profiles)

    def _told(self, draft: Draft) -> dict[str, Any]:
        problems: list[str] = []
        choices, columns = Choices(), []
        try:
            choices = self._desk.choices(draft)
            found, problems = mapping.described(self._desk.path(draft), choices)
            choices = choices.with_columns(tuple(column.name for column in found.columns))
            by_name = {each.name: each for each in found.columns}
            columns = [_column(each, by_name[each.column]) for each in choices.columns]
        except bs.BulkSenderError as error:
            problems = [str(error)]
        problems += going.place_problems(draft.goes, self._site.profiles)
        profile, checks = self._desk.profile(draft), self._desk.checks
        refusal = self._site.crew.post(draft.run_id).refusal() if draft.run_id else None
        trouble = refusal or checks.trouble(draft)
        needs = None
        if draft.report and profile is not None:
            sent_lately = going.lately(self._site.store.drafts(), draft, draft.person) if draft.goes else 0
            needs = going.needs_second_person(True, profile, draft, sent_lately)
        return {
            "id": draft.id,
            "name": draft.name,
            "size": draft.size,
            "sha256": draft.sha256,
            "version": draft.version,
            "step": draft.step.value,
            "reading": {name: value for name, value in choices.reading.items() if name in mapping.READING},
            "label": choices.label,
            "columns": columns,
            "profile": draft.goes.get("profile"),
            "kind": draft.goes.get("kind"),
            "target": draft.goes.get("target"),
            "canary": draft.goes.get("canary"),
            "problems": [show.said(each) for each in problems],
            "report": _report(draft.report) if draft.report else None,
            "trouble": {"detail": show.said(trouble[0]), "hint": show.said(trouble[1])} if trouble else None,
            "needs_second_person": needs,
            "plan": draft.plan,
            "offer": draft.offer if draft.step in IS_CHECKED or draft.step is Step.LAUNCHED else "",
            "run_id": draft.run_id,
            "next": f"/new/{draft.id}",
        }


class MissingError(bs.BulkSenderError):
    """There is no such draft, or it is another person's."""

    status = 404


class NotReadyError(IllegalStepError):
    """A step before this one is missing."""

    code = "not_ready"


class AnotherKeyError(IllegalStepError):
    """The key of a launch names another run."""

    code = "another_key"


class WrongCountError(IllegalStepError):
    """A launch expects another number of recipients than the check found."""

    code = "wrong_count"


class DraftError(bs.BulkSenderError):
    """A value that cannot be taken. ``where``: the field or header."""

    status = 400

    def __init__(self, where: str, message: str, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.where = where


async def _object(request: Request) -> Mapping[str, Any]:
    try:
        told = json.loads(await body(request, MOST_FIELDS))
        json.dumps(told, ensure_ascii=False).encode()  # half of a surrogate pair could not be answered
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise DraftError("body", "this is not an object in JSON", "see /api/v1/openapi.json")
    return told


def refuse_unknown(told: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    """Raise DraftError for a name that is not known: a mistyped one must not be ignored."""
    for name in told:
        if name not in known:
            raise DraftError(where or name[:100], "there is no such field here", f"known are {', '.join(known)}")


def reading_of(told: Any) -> dict[str, Any]:
    """Return how to read a file; what is empty is detected. Raises DraftError."""
    if not isinstance(told, dict):
        raise DraftError("reading", "this is not an object", f"give some of {', '.join(mapping.READING)}")
    refuse_unknown(told, mapping.READING, "reading")
    fields: dict[str, str] = {}
    for name, value in told.items():
        if name == "null_values":
            if not isinstance(value, list) or not all(isinstance(each, str) and "|" not in each for each in value):
                raise DraftError("reading.null_values", "this is not a list of texts without |", 'such as ["-", "n/a"]')
            fields[name] = "|".join(value)
        elif name == "header_row":
            if type(value) is not int or not 1 <= value <= 99_999:
                raise DraftError("reading.header_row", "this is not the number of a row", "give 1 to 99999")
            fields[name] = str(value)
        elif not isinstance(value, str):
            raise DraftError(f"reading.{name}", "this is not a text", "leave it out to have it detected")
        else:
            fields[name] = value
    return mapping.reading_of(fields)


def columns_of(told: Any) -> dict[str, Choice]:
    """Return what columns go out as, by their names. Raises DraftError."""
    if not isinstance(told, list) or not all(isinstance(each, dict) for each in told):
        raise DraftError("columns", "this is not a list of objects", 'such as [{"column": "id", "use": "email"}]')
    given: dict[str, Choice] = {}
    for each in told:
        refuse_unknown(each, _COLUMN, "columns")
        texts = {name: _text(each, name) for name in each}
        name = texts.get("column", "")
        if not name or name in given:
            raise DraftError("columns.column", "a column needs its name, once", "GET the draft to see its columns")
        if texts.get("use", "") not in mapping.USES:
            raise DraftError("columns.use", "this is not a use", f"give one of {', '.join(filter(None, mapping.USES))}")
        if texts.get("type", "") not in mapping.TYPES:
            raise DraftError(
                "columns.type", "this is not a type", f"give one of {', '.join(filter(None, mapping.TYPES))}"
            )
        kept = {key: value if key == "column" else value.strip() for key, value in texts.items()}
        given[name] = Choice(**kept)
    return given


def _text(told: Mapping[str, Any], name: str) -> str:
    value = told[name]
    if not isinstance(value, str):
        raise DraftError(name, f"{name} is not a text", "give it as a text in JSON")
    return value


def _number(told: Mapping[str, Any], name: str) -> int:
    value = told.get(name)
    if type(value) is float and value.is_integer():  # JSON does not tell 2.0 from 2
        value = int(value)
    if type(value) is not int or not 0 <= value <= _LARGEST:
        raise DraftError(name, f"{name} is not a whole number", "GET the draft to see it")
    return value


def _column(choice: Choice, column: bs.Column) -> dict[str, Any]:
    guess = None
    if column.guess:
        first = column.guess[0]
        group, _, name = first.field.partition(".")
        is_named = group in mapping.NAMED
        guess = {"use": group if is_named else first.field, "name": name if is_named else "", "type": first.type}
        guess |= {"format": first.format or ""}
    return {
        **{name: getattr(choice, name) for name in _COLUMN},
        "guess": guess,
        "empty": column.empty,
        "misfits": column.misfits,
    }


def _report(report: Mapping[str, Any]) -> dict[str, Any]:
    reasons = [{"code": each["code"], "count": each["count"]} for each in report["reasons"]]
    return {name: report[name] for name in _COUNTS} | {"reasons": reasons, "refused": report.get("refused") or ""}
