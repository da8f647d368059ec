"""What happens to a request besides Braze's rules: weather, decided by a seed and nothing else.

Weather falls on the two endpoints that send. The *n*-th request to reach them meets the *n*-th event of the
sequence that ``(weather, seed)`` spells; which batch is the *n*-th is up to the sender. Questions
(``/users/export/ids``) are always answered truthfully, except in the dark of an outage, when nothing
answers.

``calm``
    Every request is answered at once.
``slow``
    Every answer leaves 0.2 to 1.5 s after the request was taken.
``throttled``
    60 requests per 2 s, and in 2 % of the requests (surely once among the first 20) other jobs of the
    workspace take what is left of the window: 429 every few seconds.
``lost-answers``
    Every request is taken, and the answer to about 1 in 100 (surely to one among the first 60) is lost on its
    way: the connection is closed, reset, or cut inside the answer's head or body.
``outage``
    One request among the 5th to 25th is taken and never answered. Every connection is reset, and for 2 to 4 s
    connecting is refused; then all is well again.
``storm``
    All of it: answers after 0 to 0.3 s; 2 % lost (surely one among the first 40); 2 % refused with 500 or 503
    in Braze's JSON; 1.5 % answered by a gateway in HTML (502 never taken, 504 taken); 1 % reset unread; 120
    requests per 2 s, with others taking the rest in 2 %; darkness for 1 to 2 s, begun by a request among the
    40th to 90th.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import accumulate
from random import Random


class Fate(StrEnum):
    """What becomes of one request."""

    ANSWERED = "answered"
    CLOSED = "taken, closed without an answer"
    RESET = "taken, reset without an answer"
    CUT_IN_HEAD = "taken, cut inside the answer's head"
    CUT_IN_BODY = "taken, cut inside the answer's body"
    DARK = "taken, and an outage began"
    UNREAD = "reset before it was read"
    EMPTIED = "others took the rest of the window"
    ERROR = "500 in Braze's JSON, not taken"
    UNAVAILABLE = "503 in Braze's JSON, not taken"
    BAD_GATEWAY = "502 from a gateway, not taken"
    GATEWAY_TIMEOUT = "504 from a gateway, taken"


LOST = (Fate.CLOSED, Fate.RESET, Fate.CUT_IN_HEAD, Fate.CUT_IN_BODY)
"""Braze took the request, and its answer never arrives whole."""
NOT_TAKEN = frozenset({Fate.UNREAD, Fate.ERROR, Fate.UNAVAILABLE, Fate.BAD_GATEWAY})
"""Whatever the rules say to the request, Braze doesn't take it."""


@dataclass(frozen=True, slots=True)
class Event:
    """What the weather does to one request.

    The answer leaves after ``latency_s`` seconds; ``dark_s``, the length of an outage, goes with DARK alone.
    """

    fate: Fate = Fate.ANSWERED
    latency_s: float = 0.0
    dark_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Climate:
    """The numbers behind a weather.

    ``chances`` are shares of all requests. One request among the first ``surely_within`` meets one of the
    fates in ``surely``. ``dark_at`` bounds the one request, counted from 0, that an outage begins with, and
    ``dark_s`` the outage's length.
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
    """The sequence of events of one weather. Same name, seed and latency: same sequence, always.

    ``latency_s`` replaces the weather's own latency with a fixed one.
    """

    def __init__(self, name: str, seed: int = 1, latency_s: float | None = None) -> None:
        if name not in CLIMATES:
            raise ValueError(f"no weather is called {name!r}: there are {', '.join(WEATHERS)}")
        self.name = name
        self.climate = climate = CLIMATES[name]
        self._latency_s = climate.latency_s if latency_s is None else (latency_s, latency_s)
        self._random = Random(f"{name}:{seed}")
        self._surely_at = self._random.randrange(climate.surely_within) if climate.surely else None
        self._dark_at = self._random.randint(*climate.dark_at) if climate.dark_at else None
        self._thresholds = list(zip(accumulate(climate.chances.values()), climate.chances, strict=True))
        self._count = 0

    def next(self) -> Event:
        """What happens to the next request."""
        place, self._count = self._count, self._count + 1
        latency_s = self._random.uniform(*self._latency_s)
        if place == self._dark_at:
            return Event(Fate.DARK, latency_s, dark_s=self._random.uniform(*self.climate.dark_s))
        if place == self._surely_at:
            return Event(self._random.choice(self.climate.surely), latency_s)
        draw = self._random.random()
        fate = next((fate for threshold, fate in self._thresholds if draw < threshold), Fate.ANSWERED)
        return Event(fate, latency_s)
