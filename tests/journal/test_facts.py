"""Facts of runs that an earlier release started."""

from __future__ import annotations

from dataclasses import replace

from bulk_sender.journal.facts import Facts
from tests.kit.journals import run_facts


def test_a_run_of_the_first_release_keeps_the_defaults_that_it_was_started_with() -> None:
    facts = run_facts({"braze": {"canvas_id": "c"}})
    stored = facts.stored()
    stored["settings"]["braze"]["canvas_properties_name"] = "canvas_entry_properties"
    stored["settings"]["delivery"]["max_body_kb"] = 256
    del stored["settings"]["input"]["trim"]
    old = Facts.of(stored)
    config = old.revived()
    assert (config.input.trim, config.delivery.max_body_kb) == (False, 256)
    assert config.braze.canvas_properties_name == "canvas_entry_properties"
    assert old.difference(replace(old, settings=config.frozen_settings())) == []
    assert facts.revived().input.trim
