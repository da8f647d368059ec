"""A digest of a plan: over the bodies of all its requests, in order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from bulk_sender.braze.endpoint import Endpoint
from bulk_sender.planning.batches import Payload, Planned


class BodyDigest:
    """Digests a plan piece by piece, in bounded memory.

    ``sha256`` is over all bodies one after the other, exactly as they are POSTed. ``marks`` holds one digest for each
    piece, by which that piece can be recognised when it is planned again.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.marks: list[bytes] = []
        self._endpoint = endpoint
        self._whole = hashlib.sha256()

    def add(self, recipients: Payload, sizes: Sequence[int]) -> None:
        """Add the next piece: its recipients, and the number of them in each request."""
        own = hashlib.sha256()
        for body in _bodies(self._endpoint, recipients, sizes):
            self._whole.update(body)
            own.update(body)
        self.marks.append(own.digest())

    @property
    def sha256(self) -> str:
        """The digest of everything added so far, as 64 hexadecimal digits."""
        return self._whole.hexdigest()


def mark(endpoint: Endpoint, piece: Planned) -> bytes:
    """Return the digest of one piece's bodies, as in ``BodyDigest.marks``."""
    bodies = BodyDigest(endpoint)
    bodies.add(Payload.of(piece.rows["recipient"]), piece.sizes)
    return bodies.marks[0]


def _bodies(endpoint: Endpoint, recipients: Payload, sizes: Sequence[int]) -> Iterator[bytes]:
    first = 0
    for size in sizes:
        yield endpoint.body(recipients.recipients(first, size))
        first += size
