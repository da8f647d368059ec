"""Profiles: where real messages can be sent to, with which key, and within which limits.

The administrator writes them in the settings file. A person chooses one by its name; a browser never names an address
or a key. The page itself does not open the key's file: it passes the path to the process of a run.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from bulk_sender.config.hosts import is_loopback
from bulk_sender.config.model import BrazeConfig, DeliveryConfig

DEFAULT_SECOND_PERSON_ABOVE = 10_000
DEFAULT_CANARY = 100


class Profile(BaseModel):
    """Table ``[profiles.NAME]`` of the file.

    ``campaigns``: ids of the only campaigns (or Canvases) that may be triggered; empty for any.
    ``second_person_above``: above so many recipients another person must approve. ``canary``: at least so many rows go
    out first, 0 for none. ``rate`` and ``window``: the highest rate, and the only hours.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    endpoint: str
    key_file: str
    campaigns: tuple[str, ...] = Field(default=(), strict=False)
    second_person_above: int = Field(default=DEFAULT_SECOND_PERSON_ABOVE, ge=0)
    max_recipients: int | None = Field(default=None, ge=1)
    canary: int = Field(default=DEFAULT_CANARY, ge=0)
    rate: str | None = None
    window: str | None = None

    @field_validator("endpoint")
    @classmethod
    def _is_an_endpoint(cls, value: str) -> str:
        address = urlsplit(value)
        if address.scheme != "https" and not (address.scheme == "http" and is_loopback(address.hostname or "")):
            raise ValueError("write it like https://rest.iad-01.braze.com")
        return _validated(BrazeConfig, "endpoint", value)

    @field_validator("rate", "window")
    @classmethod
    def _is_a_rate_or_hours(cls, value: str | None, info: object) -> str | None:
        return value if value is None else _validated(DeliveryConfig, str(getattr(info, "field_name", "")), value)

    @field_validator("key_file")
    @classmethod
    def _is_absolute(cls, value: str) -> str:
        if not Path(value).is_absolute():
            raise ValueError(f"{value!r} is not an absolute path")
        return value

    @property
    def host(self) -> str:
        """The endpoint without its scheme, as people know it."""
        return self.endpoint.partition("://")[2].rstrip("/") or self.endpoint


def _validated(model: type[BaseModel], name: str, value: str) -> str:
    """Return a value as the configuration of a run would hold it. Raises ValueError with its message."""
    try:
        found = getattr(model.model_validate({name: value}), name)
    except ValidationError as error:
        raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None
    assert isinstance(found, str)
    return found
