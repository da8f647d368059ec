"""The page's own settings: options, and the file behind ``--config``."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from bulk_sender.config.hosts import is_loopback
from bulk_sender.errors import ConfigError
from bulk_sender.web.logs import LogFormat
from bulk_sender.web.profiles import Profile
from bulk_sender.web.team import Roles, Team

DEFAULT_PORT = 8799


class PageSettings(BaseModel):
    """Table ``[page]`` of the file. None means: as the option says by default."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    host: str | None = None
    port: int | None = None
    runs_dir: str | None = None
    read_only: bool | None = None
    most_runs: int | None = Field(default=None, ge=1, le=16)
    log_format: LogFormat | None = None
    metrics: bool | None = None


class FileSettings(BaseModel):
    """Table ``[files]`` of the file. ``folders``: absolute paths, whose files may be chosen on the page."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    folders: tuple[str, ...] = Field(default=(), strict=False)

    @field_validator("folders")
    @classmethod
    def _absolute(cls, folders: tuple[str, ...]) -> tuple[str, ...]:
        for folder in folders:
            if not Path(folder).is_absolute():
                raise ValueError(f"{folder!r} is not an absolute path")
        return folders


class ApiSettings(BaseModel):
    """Table ``[api]`` of the file. ``enabled``: whether programs may use the HTTP API."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    enabled: bool = False


class Settings(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    page: PageSettings = PageSettings()
    files: FileSettings = FileSettings()
    api: ApiSettings = ApiSettings()
    profiles: Mapping[str, Profile] = Field(default_factory=dict)
    team: Team | None = None


def load(path: Path) -> Settings:
    """Return the settings in a file. Raises ConfigError."""
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", hint="check the path after --config") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a TOML file: {error}") from None
    if unknown := sorted(set(found) - set(Settings.model_fields)):
        raise ConfigError(
            f"{path}: unknown table {unknown[0]!r}",
            hint="the page knows the tables [page], [files], [api], [profiles.NAME] and [team]",
        )
    try:
        return Settings.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise ConfigError(
                f"{path}: unknown key {where}", hint="choose " + ", ".join(_keys_of(*map(str, first["loc"][:-1])))
            ) from None
        raise ConfigError(f"{path}: {where}: {first['msg'][:1].lower()}{first['msg'][1:]}") from None


def _keys_of(table: str, part: str = "") -> Iterable[str]:
    tables: Mapping[str, type[BaseModel]] = {
        "page": PageSettings,
        "files": FileSettings,
        "api": ApiSettings,
        "profiles": Profile,
        "team": Roles if part == "roles" else Team,
    }
    return tables[table].model_fields


def refuse_other_than_loopback(host: str) -> None:
    """Raise ConfigError for an address that other machines can reach: nobody would check who is there."""
    if not is_loopback(host.lower()):
        raise ConfigError(
            f"--host {host}: without [team] the page serves this machine only",
            hint="use 127.0.0.1, localhost or ::1. From another machine, forward the port: "
            "ssh -L 8799:127.0.0.1:8799 HOST",
        )


def allowed_hosts(port: int, team: Team | None = None) -> frozenset[str]:
    """Return the ``Host`` headers of browsers on this machine, and of a team's proxy.

    A team's page answers the names of this machine too, for health checks. Nobody is signed in there.
    """
    names = ("127.0.0.1", "localhost", "[::1]")
    found = {f"{name}:{port}" for name in names} | set(team.hosts if team is not None else ())
    return frozenset(found | set(names) if port == 80 else found)
