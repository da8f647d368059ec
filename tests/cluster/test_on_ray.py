"""Workers on a Ray cluster: what happens is in ``on_ray.py``, which runs in a network of its own."""

from __future__ import annotations

from tests.cluster.inside import pass_inside


def test_workers_on_ray_send_each_row_once_whatever_dies() -> None:
    pass_inside("ray")
