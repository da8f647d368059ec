"""Weather: reproducible simulated failures, determined only by a seed.

Weather affects the two endpoints that send. The *n*-th request to them meets the *n*-th event of the sequence
for ``(weather, seed)``; the sender decides which batch is the *n*-th. Lookups (``/users/export/ids``) are
always answered correctly, except during an outage, when nothing answers.

``calm``
    Every request is answered at once.
``slow``
    Every answer is sent 0.2 to 1.5 s after the request was accepted.
``throttled``
    60 requests per 2 s, and in 2 % of the requests (at least once among the first 20) other jobs of the
    workspace use up the rest of the window, which gives a 429 every few seconds.
``lost-answers``
    Every request is accepted, and the answer to about 1 in 100 (at least one among the first 60) is lost:
    the connection is closed, reset, or cut off inside the answer's head or body.
``outage``
    One request among the 5th to 25th is accepted and never answered. Every connection is reset, and new
    connections are refused for 2 to 4 s; then service is back to normal.
``storm``
    All of these: answers after 0 to 0.3 s; 2 % lost (at least one among the first 40); 2 % refused with 500 or
    503 in Braze's JSON; 1.5 % answered by a gateway in HTML (502 never accepted, 504 accepted); 1 % reset
    unread; 120 requests per 2 s, with the rest used up by others in 2 %; an outage of 1 to 2 s, which starts at
    one of the requests 40 to 90.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import accumulate
from random import Random


class Fate(StrEnum):
    """What happens to one request."""

    ANSWERED = "answered"
    CLOSED = "accepted, closed without an answer"
    RESET = "accepted, reset without an answer"
    CUT_IN_HEAD = "accepted, cut off in the answer's head"
    CUT_IN_BODY = "accepted, cut off in the answer's body"
    DARK = "accepted, then an outage began"
    UNREAD = "reset before it was read"
    EMPTIED = "rate limit used up by other jobs"
    ERROR = "500 in Braze's JSON, not accepted"
    UNAVAILABLE = "503 in Braze's JSON, not accepted"
    BAD_GATEWAY = "502 from a gateway, not accepted"
    GATEWAY_TIMEOUT = "504 from a gateway, accepted"


LOST = (Fate.CLOSED, Fate.RESET, Fate.CUT_IN_HEAD, Fate.CUT_IN_BODY)
"""Braze accepted the request, and its answer never arrives completely."""
NOT_TAKEN = frozenset({Fate.UNREAD, Fate.ERROR, Fate.UNAVAILABLE, Fate.BAD_GATEWAY})
"""Braze does not accept the request, even if it is valid."""


@dataclass(frozen=True, slots=True)
class Event:
    """What the weather does to one request.

    The answer is sent after ``latency_s`` seconds; ``dark_s`` is the length of an outage, used only with DARK.
    """

    fate: Fate = Fate.ANSWERED
    latency_s: float = 0.0
    dark_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Climate:
    """The parameters of a weather.

    ``chances`` are shares of all requests. One request among the first ``surely_within`` is sure to meet one of
    the fates in ``surely``. ``dark_at`` is the range of the request, counted from 0, at which an outage begins,
    and ``dark_s`` the range of the outage's length.
    """

    latency_s: tuple[float, float] = (0.0, 0.0)
    chances: Mapping[Fate, float] = field(default_factory=dict)
    surely: tuple[Fate, ...] = ()
    surely_within: int = 0
    dark_at: tuple[int, int] | None = None
    dark_s: tuple[float, float] = (0.0, 0.0)
    limit: int | None = None
    window_s: float | None = None


def _shared(chance: float, fates: tuple[Fate, ...]) -> dict[Fate, float]:
    return dict.fromkeys(fates, chance / len(fates))


CLIMATES: Mapping[str, Climate] = {
    "calm": Climate(),
    "slow": Climate(latency_s=(0.2, 1.5)),
    "throttled": Climate(
        chances={Fate.EMPTIED: 0.02}, surely=(Fate.EMPTIED,), surely_within=20, limit=60, window_s=2.0
    ),
    "lost-answers": Climate(chances=_shared(0.01, LOST), surely=LOST, surely_within=60),
    "outage": Climate(dark_at=(4, 24), dark_s=(2.0, 4.0)),
    "storm": Climate(
        latency_s=(0.0, 0.3),
        chances=_shared(0.02, LOST)
        | _shared(0.02, (Fate.ERROR, Fate.UNAVAILABLE))
        | _shared(0.015, (Fate.BAD_GATEWAY, Fate.GATEWAY_TIMEOUT))
        | {Fate.UNREAD: 0.01, Fate.EMPTIED: 0.02},
        surely=LOST,
        surely_within=40,
        dark_at=(39, 89),
        dark_s=(1.0, 2.0),
        limit=120,
        window_s=2.0,
    ),
}
WEATHERS: tuple[str, ...] = tuple(CLIMATES)


class Weather:
    """The sequence of events of one weather; the same name, seed and latency always give the same sequence.

    ``latency_s`` replaces the weather's latency with a fixed one.
    """

    def __init__(self, name: str, seed: int = 1, latency_s: float | None = None) -> None:
        if name not in CLIMATES:
            raise ValueError(f"{name!r} is not a valid weather: use {', '.join(WEATHERS)}")
        self.name = name
        self.climate = climate = CLIMATES[name]
        self._latency_s = climate.latency_s if latency_s is None else (latency_s, latency_s)
        self._random = Random(f"{name}:{seed}")
        self._surely_at = self._random.randrange(climate.surely_within) if climate.surely else None
        self._dark_at = self._random.randint(*climate.dark_at) if climate.dark_at else None
        self._thresholds = list(zip(accumulate(climate.chances.values()), climate.chances, strict=True))
        self._count = 0

    def next(self) -> Event:
        """Return what happens to the next request."""
        place, self._count = self._count, self._count + 1
        latency_s = self._random.uniform(*self._latency_s)
        if place == self._dark_at:
            return Event(Fate.DARK, latency_s, dark_s=self._random.uniform(*self.climate.dark_s))
        if place == self._surely_at:
            return Event(self._random.choice(self.climate.surely), latency_s)
        draw = self._random.random()
        fate = next((fate for threshold, fate in self._thresholds if draw < threshold), Fate.ANSWERED)
        return Event(fate, latency_s)
