"""The configuration: one validated model of defaults, a TOML file, the environment and flags.

Later sources win: defaults < file < environment < flags. The model is frozen and holds no secret. A run remembers its
``frozen_settings`` and compares them when it is resumed.
"""

from __future__ import annotations

import datetime as dt
import json
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from bulk_sender.config.amount import Amount
from bulk_sender.config.base import Constant, JsonObject, Model
from bulk_sender.config.bucket import is_store
from bulk_sender.config.database import DEFAULT_SCHEMA, DEFAULT_TTL_S, is_address, is_schema_name
from bulk_sender.config.duration import parse_duration
from bulk_sender.config.hours import SendingHours
from bulk_sender.config.loading import overlaid, read_toml, refuse_keys
from bulk_sender.config.problems import explain
from bulk_sender.config.rate import Rate
from bulk_sender.errors import ConfigError
from bulk_sender.text.date_formats import DateFormat

FieldType = Literal["string", "integer", "float", "boolean", "datetime", "date", "json", "list"]

IDENTIFIERS = ("external_user_id", "email", "user_alias", "braze_id")


class FieldSource(Model):
    """Where one field comes from: a ``column``, or a constant ``value``; ``type`` and ``format`` convert it."""

    column: str | None = None
    value: Constant = None
    type: FieldType | None = None
    format: str | None = None
    """A pattern of Python's strptime for ``date`` and ``datetime``, for files without ISO 8601."""
    separator: str = Field(default="|", min_length=1)
    """Separates the values of a ``list``."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.column is None) == ("value" not in self.model_fields_set):
            raise ValueError("give either column or value")
        if self.format is not None and self.type not in ("date", "datetime"):
            raise ValueError("a format needs type date or datetime")
        if self.format is not None:
            DateFormat.parse(self.format)
        return self

    @property
    def is_constant(self) -> bool:
        return self.column is None


def _source(raw: Any) -> Any:
    return {"column": raw} if isinstance(raw, str) else raw


def _sign(raw: Any) -> Any:
    """Return any kind of space as a space, and a typographic apostrophe as the plain one."""
    if isinstance(raw, str) and len(raw) == 1:
        return " " if unicodedata.category(raw) == "Zs" else raw.replace("\u2019", "'")
    return raw


def _prioritization(raw: Any) -> Any:
    return {"value": raw} if isinstance(raw, list) else _source(raw)


ColumnOrSource = Annotated[FieldSource, BeforeValidator(_source)]


class AliasSource(Model):
    """Where the two parts of a user alias come from."""

    alias_name: ColumnOrSource
    alias_label: ColumnOrSource


class RecipientConfig(Model):
    """Where each field of a recipient comes from. If empty, the columns' names are the mapping."""

    external_user_id: ColumnOrSource | None = None
    email: ColumnOrSource | None = None
    user_alias: AliasSource | None = None
    braze_id: ColumnOrSource | None = None
    email_is_hashed: bool = False
    """Whether addresses are hashes, as with Braze's field-level encryption."""
    prioritization: Annotated[FieldSource, BeforeValidator(_prioritization)] | None = None
    send_to_existing_only: ColumnOrSource | None = None
    trigger_properties: dict[str, ColumnOrSource] = Field(default_factory=dict)
    attributes: dict[str, ColumnOrSource] = Field(default_factory=dict)
    subscription_groups: dict[str, ColumnOrSource] = Field(default_factory=dict)
    """Subscription group id → the column that holds ``subscribed`` or ``unsubscribed``."""
    identifier_order: tuple[str, ...] = ()
    """The identifiers in the order of the file: the first that is not empty wins."""

    @model_validator(mode="before")
    @classmethod
    def _remember_order(cls, raw: Any) -> Any:
        if isinstance(raw, dict):
            raw = _canvas_name(raw, ("canvas_entry_properties", "context"))
            written = raw.get("identifier_order", raw)  # given when a run's configuration comes back from its journal
            raw = raw | {"identifier_order": tuple(name for name in written if name in IDENTIFIERS and name in raw)}
        return raw

    @property
    def is_empty(self) -> bool:
        return not (self.model_fields_set - {"identifier_order", "email_is_hashed"})


def _canvas_name(raw: JsonObject, names: tuple[str, ...]) -> JsonObject:
    """Accept a Canvas' names for ``trigger_properties``."""
    given = [name for name in (*names, "trigger_properties") if name in raw]
    if len(given) > 1:
        raise ValueError(f"{given[0]} and {given[1]} are two names of the same field: give one")
    return {("trigger_properties" if name in names else name): value for name, value in raw.items()}


class BrazeConfig(Model):
    """The workspace's host and the campaign or Canvas to trigger."""

    endpoint: str | None = None
    campaign_id: str | None = None
    canvas_id: str | None = None
    send_id: str | None = None
    canvas_properties_name: Literal["context", "canvas_entry_properties"] = "context"
    """The name under which a Canvas gets its properties; ``canvas_entry_properties`` is Braze's older name."""
    ca_bundle: str | None = None
    """A PEM file to trust instead of certifi's bundle, e.g. behind a company proxy."""
    proxy: str | None = None
    """A proxy for all requests, without a user and password: those are in ``BULK_SENDER_PROXY``. The variables that
    other programs read, such as ``HTTPS_PROXY``, have no effect."""

    @field_validator("campaign_id", "canvas_id", "send_id")
    @classmethod
    def _not_blank(cls, value: str | None) -> str | None:
        if value is not None and not value.strip():
            raise ValueError("is empty")
        return value

    @field_validator("send_id")
    @classmethod
    def _send_id_fits(cls, value: str | None) -> str | None:
        if value is not None and (len(value) > 64 or not value.isascii()):
            raise ValueError("is not a valid send id: Braze allows at most 64 ASCII characters")
        return value

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if self.campaign_id and self.canvas_id:
            raise ValueError("campaign_id and canvas_id are both given: a run triggers one of them")
        if self.canvas_id and self.send_id:
            raise ValueError("send_id is for campaigns, not for a Canvas")
        return self

    @property
    def is_canvas(self) -> bool:
        return self.canvas_id is not None

    @property
    def target(self) -> str | None:
        """The campaign's or Canvas' id."""
        return self.canvas_id or self.campaign_id


class Attachment(Model):
    """One e-mail attachment: its name without extension, and the URL from which Braze fetches it."""

    file_name: str = Field(min_length=1)
    url: str = Field(pattern=r"^https?://")
    basic_auth_credential: str | None = Field(default=None, min_length=1)
    """The name of a credential stored in Braze, with which Braze fetches the URL."""


class MessageConfig(Model):
    """What every request has in common."""

    trigger_properties: JsonObject = Field(default_factory=dict)
    audience: JsonObject | None = None
    attachments: list[Attachment] = Field(default_factory=list)

    @model_validator(mode="before")
    @classmethod
    def _canvas_names(cls, raw: Any) -> Any:
        return _canvas_name(raw, ("canvas_entry_properties", "context")) if isinstance(raw, dict) else raw

    @field_validator("audience")
    @classmethod
    def _audience_is_a_tree(cls, value: JsonObject | None) -> JsonObject | None:
        if value is not None:
            _check_audience(value, "audience")
        return value


def _check_audience(node: Any, where: str) -> None:
    """Check that a node is one filter, or ``AND``/``OR`` over a list of them (Braze: connected_audience)."""
    if not isinstance(node, dict) or len(node) != 1:
        raise ValueError(f"{where}: a filter is a table with one key, AND, OR or the filter's name")
    [(name, inner)] = node.items()
    if name in ("AND", "OR"):
        if not isinstance(inner, list) or not inner:
            raise ValueError(f"{where}.{name}: needs a list of at least one filter")
        for index, child in enumerate(inner):
            _check_audience(child, f"{where}.{name}[{index}]")
    elif not isinstance(inner, dict) or not inner:
        raise ValueError(f"{where}.{name}: a filter's value is a table, such as {{ comparison = …, value = … }}")


class InputConfig(Model):
    """How the input is read, and which of its rows are sent."""

    format: Literal["csv", "parquet", "ndjson", "arrow", "excel", "delta", "iceberg"] | None = None
    """Detected from the name and the first bytes unless given."""
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    encoding: str | None = None
    header: bool = True
    """Whether a CSV has a header that names its columns; if not, they are ``column_1``, ``column_2``, …"""
    header_row: int | None = Field(default=None, ge=1, le=10_000)
    """The line of the header in a CSV, from 1. Detected unless given: the first line, or below titles and comments."""
    skip_last: int = Field(default=0, ge=0, le=10_000)
    """Rows at the end of each file to leave out, such as totals."""
    null_values: list[str] = Field(default_factory=list)
    """Cells that count as empty, besides empty ones."""
    decimal: Literal[".", ","] = "."
    """The decimal sign of numbers in text."""
    thousands: Annotated[Literal[" ", ".", ",", "'", "_"] | None, BeforeValidator(_sign)] = None
    """The sign between groups of digits of numbers in text; any space stands for every kind of space."""
    sheet: str | None = None
    """Of a workbook; by default the first visible one with rows."""
    timezone: str = "UTC"
    """The time zone of datetimes without an offset."""
    trim: bool = True
    """Whether blanks around identifiers are removed."""
    filter: str | None = None
    limit: int | None = Field(default=None, ge=1)
    duplicates: Literal["first", "allow"] = "first"
    liquid: Literal["warn", "reject", "allow"] = "warn"
    """What to do with values that contain Liquid (``{{`` or ``{%``), which Braze runs as code."""
    nulls: Literal["omit", "send"] = "omit"
    profile_fields: Literal["reject", "warn"] = "warn"
    """What to do with an attribute that Braze would drop or misread: a profile field (country, gender, …) or a
    subscription state outside its vocabulary, an ``inc``, ``add`` or ``remove`` of another form."""

    @field_validator("delimiter")
    @classmethod
    def _one_byte(cls, value: str | None) -> str | None:
        if value is not None and (not value.isascii() or value in '"\r\n\x00'):
            raise ValueError(f"{value!r} is not a valid delimiter: use one ASCII character, such as , ; or a tab")
        return value

    @model_validator(mode="after")
    def _two_signs(self) -> Self:
        if self.thousands == self.decimal:
            other = "," if self.decimal == "." else "."
            raise ValueError(
                f"thousands and decimal are both {self.decimal!r}: with thousands = {json.dumps(self.thousands)}, "
                f"set decimal = {json.dumps(other)}"
            )
        return self

    @model_validator(mode="after")
    def _one_header(self) -> Self:
        if self.header_row is not None and not self.header:
            raise ValueError("header_row needs a header: leave out header = false")
        return self

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        if value != "UTC" and not _is_timezone(value):
            raise ValueError(f"{value!r} is not a time zone of the IANA database, such as Europe/Paris")
        return value


def _is_timezone(name: str) -> bool:
    """Whether polars, which reads the datetimes, knows it. Its database is not the system's."""
    import polars as pl

    try:
        pl.select(pl.lit(dt.datetime(2026, 1, 1)).dt.replace_time_zone(name))
    except pl.exceptions.PolarsError:
        return False
    return True


class DeliveryConfig(Model):
    """Rate, concurrency and retry settings."""

    rate: str = "250000/hour"
    reserve: float = Field(default=0.0, ge=0.0, lt=1.0)
    concurrency: int = Field(default=32, ge=1, le=512)
    timeout: float = Field(default=60.0, gt=0, le=3600)
    attempts: int = Field(default=8, ge=1, le=100)
    server_errors: Literal["retry", "hold"] = "retry"
    keepalive: bool = True
    """False: a fresh connection for every request."""
    max_body_kb: int = Field(default=3500, ge=4, le=4000)
    """Maximum size of a request's body in kilobytes of 1,000 bytes. A larger batch is split. Braze takes 4 MB."""
    breaker: int = Field(default=5, ge=1)
    """Stop the run after this many failed or unknown requests in a row."""
    max_failed_share: float = Field(default=0.5, ge=0.0, le=1.0)
    """Stop the run when Braze refuses more than this share of recent recipients; 1.0 never stops."""
    ramp: float = Field(default=60.0, ge=0.0, le=3600.0)
    """Seconds until the full rate is reached after an approved canary; 0: at once. No effect without a canary."""
    retry_budget: float = Field(default=0.2, ge=0.0, le=10.0)
    """Stop the run after this many retries, as a share of its requests (but at least 100)."""
    transport: Literal["auto", "httpx", "wire"] = "auto"
    """httpx's own transport, or the faster one of the extra ``fast`` (auto: if installed)."""
    window: str | None = None
    """Hours in which sending is allowed, such as ``"09:00-20:00 Europe/Paris"``. Outside them the run waits."""
    share_rate: bool = True
    """Whether runs of one workspace share one rate: those on this machine, or with journals in the same database."""

    @field_validator("timeout", "reserve", "max_failed_share", "ramp", "retry_budget", mode="before")
    @classmethod
    def _numbers(cls, value: Any) -> Any:
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("rate")
    @classmethod
    def _is_a_rate(cls, value: str) -> str:
        Rate.parse(value)
        return value

    @field_validator("window")
    @classmethod
    def _is_a_window(cls, value: str | None) -> str | None:
        if value is not None:
            SendingHours.parse(value)
        return value

    @property
    def pace(self) -> Rate:
        return Rate.parse(self.rate)


class GuardConfig(Model):
    """What refuses a run before its first request. Options of the command line win."""

    preflight: bool = True
    """Whether to ask Braze for the campaign's name and state first. False is for keys that may only send."""
    repeat_within: str = "20 hours"
    """Refuse the same input to the same target again within this time; ``"0"`` never refuses."""
    min_recipients: int | None = Field(default=None, ge=0)
    max_recipients: int | None = Field(default=None, ge=0)
    max_rejected: str | int | None = None
    """A number of rows, or a share such as ``"1%"``."""

    @field_validator("repeat_within")
    @classmethod
    def _is_a_duration(cls, value: str) -> str:
        parse_duration(value)
        return value

    @field_validator("max_rejected")
    @classmethod
    def _is_an_amount(cls, value: str | int | None) -> str | int | None:
        if value is not None:
            Amount.parse(value)
        return value


class NotifyConfig(Model):
    """Notifications through Apprise (extra ``notify``)."""

    urls_env: str = Field(default="BULK_SENDER_NOTIFY", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The environment variable that holds the addresses. They are secrets, so they do not belong in a file."""
    on: list[Literal["trouble", "end"]] = Field(default=["trouble", "end"], min_length=1)


class ScaleConfig(Model):
    """Where journals are, for runs that several machines may send or look at (extra ``postgres``)."""

    journal: str | None = None
    """``postgresql:``, or an address without a password; by default a journal is a file in its run's folder."""
    schema_name: str = Field(default=DEFAULT_SCHEMA, alias="schema")
    store: str | None = None
    """Where the rows of runs lie: ``s3://bucket/prefix``, ``gs://`` or ``az://`` (extra ``store``), or
    ``file:///folder`` on a disk that all processes of a run share; by default they are in the database."""
    planners: int = Field(default=1, ge=1, le=256)
    """Processes of this machine that plan a new run's input. More than one read all of it before the first request."""
    ttl: float = Field(default=DEFAULT_TTL_S, ge=5.0, le=3600.0)
    """Seconds without a sign of life after which the process of a run counts as dead."""

    @field_validator("journal")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is not None and not is_address(value):
            raise ValueError('is not the address of a PostgreSQL database, such as "postgresql://user@host/database"')
        return value

    @field_validator("store")
    @classmethod
    def _is_a_store(cls, value: str | None) -> str | None:
        if value is not None and not is_store(value):
            raise ValueError('is not a store, such as "s3://bucket/prefix", gs://, az:// or file:///folder')
        return value

    @field_validator("schema_name")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if not is_schema_name(value):
            raise ValueError(f"{value!r} is not a name of a schema: use a-z, 0-9 and _")
        return value

    @field_validator("ttl", mode="before")
    @classmethod
    def _seconds(cls, value: Any) -> Any:
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


class Config(Model):
    """Everything that decides what a run sends, and how. It does not hold the key."""

    braze: BrazeConfig = BrazeConfig()
    message: MessageConfig = MessageConfig()
    recipient: RecipientConfig = RecipientConfig()
    input: InputConfig = InputConfig()
    delivery: DeliveryConfig = DeliveryConfig()
    guard: GuardConfig = GuardConfig()
    notify: NotifyConfig | None = None
    scale: ScaleConfig = ScaleConfig()

    @classmethod
    def load(cls, path: str | Path | None = None, overrides: Mapping[str, Any] | None = None) -> Self:
        """Read a TOML file (or none) and apply ``overrides`` (dotted key → value, None is skipped).

        Raises ConfigError naming the file and the key; CredentialError when the file holds a key.
        """
        where = str(path) if path is not None else "the options"
        raw = read_toml(Path(path)) if path is not None else {}
        return cls.parse(overlaid(raw, overrides, where=where), where=where)

    @classmethod
    def parse(cls, raw: JsonObject, *, where: str) -> Self:
        """Validate a table, as read from TOML. Raises ConfigError, CredentialError."""
        refuse_keys(raw, where)
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            raise ConfigError(f"{where}: {explain(error, cls)}", hint="fix the configuration and try again") from None

    @property
    def is_canvas(self) -> bool:
        """Whether the run triggers a Canvas."""
        return self.braze.is_canvas

    @property
    def target(self) -> str | None:
        """The campaign's or Canvas' id."""
        return self.braze.target

    def frozen_settings(self) -> JsonObject:
        """Return what must not change when a run is resumed: all that decides the bodies and where they go."""
        settings: JsonObject = json.loads(
            self.model_dump_json(
                exclude={
                    "delivery": True,
                    "guard": True,
                    "notify": True,
                    "scale": True,
                    "braze": {"ca_bundle", "proxy"},
                }
            )
        )
        settings["delivery"] = {
            "max_body_kb": self.delivery.max_body_kb,
            "server_errors": self.delivery.server_errors,
        }
        return settings
