"""The launch of a checked send, for the page and for programs: what refuses it, and the one job that begins its run."""

from __future__ import annotations

import time
from dataclasses import dataclass

import bulk_sender as bs
from bulk_sender.web import drafts, going
from bulk_sender.web.desk import Desk
from bulk_sender.web.drafts import Draft, IllegalStepError, Step
from bulk_sender.web.site import Site
from bulk_sender.web.store import Entry
from bulk_sender.web.workers import Job


class NeedsSecondPersonError(IllegalStepError):
    """Another person has to approve the send, and has not."""

    code = "needs_second_person"


@dataclass(frozen=True, slots=True)
class Launch:
    """Begins runs of checked sends."""

    site: Site
    desk: Desk

    def __call__(self, draft: Draft, who: str, offer: str, *, by_program: bool = False) -> Draft:
        """Begin the run, once. ``offer``: the digest of what the caller saw. Raises IllegalStepError.

        ``by_program``: nobody typed the number of recipients, so that a large send needs a person without a team, too.
        """
        self.refuse_problems(draft)
        site, profile = self.site, self.desk.profile(draft)
        assert profile is not None  # it would have been a problem
        plan_file = site.uploads.plan(draft)
        if bs.PlanFile.read(plan_file).digest != draft.plan:
            raise IllegalStepError("the plan file is not the one that was reviewed", hint="check all rows again")
        path, config = self.desk.path(draft), self.desk.config(draft)
        run_id, now, store = draft.run_id, time.time(), site.store

        def launch(found: Draft) -> Draft:
            if found.step is Step.LAUNCHED:
                return found  # the other of two clicks
            sent_lately = going.lately(store.drafts(), found, who)  # one launch after the other is counted
            needs = going.needs_second_person(site.team or by_program, profile, found, sent_lately)
            if needs and found.step is Step.CHECKED:
                raise NeedsSecondPersonError(
                    "another person has to approve this send", hint="open it on the page, and ask for approval there"
                )
            return drafts.launched(same(found, offer), run_id, now, needs_approval=needs)

        entry = Entry(who, "sent it", digest=draft.offer, told=f"{run_id}: {about(draft)}")
        with self.desk.beginning:
            draft = store.change(draft.id, launch, entry)
            site.crew.begin(
                Job(
                    run_id=draft.run_id,
                    kind="send",
                    by=who,
                    files=(str(path),),
                    config=config,
                    canary=draft.goes["canary"] or None,
                    plan_file=str(plan_file),
                    plan=draft.plan,
                    again=bool(draft.pace.get("again")),
                    key_file=profile.key_file,
                )
            )
        return draft

    def refuse_problems(self, draft: Draft) -> None:
        """Raise IllegalStepError if the send does not fit the settings any more, or the campaign sends nothing."""
        found = list(going.problems(draft, self.site.profiles))
        seen = self.desk.checks.latest(draft)
        if seen is not None and seen["refusal"]:
            found.append(seen["refusal"])
        if found:
            raise IllegalStepError(found[0], hint=" ".join(found[1:]))


def same(found: Draft, offer: str) -> Draft:
    """Return the draft if it is still what the person saw. Raises IllegalStepError."""
    if offer != found.offer:
        raise IllegalStepError(f"{found.touched_by or 'somebody'} changed this send meanwhile", hint="look at it again")
    return found


def about(draft: Draft) -> str:
    """Return what is sent, for the audit log."""
    goes = draft.goes
    target = f"{goes['kind']} {goes['target']} in {goes['profile']}"
    return f"{draft.report['valid']} recipients, {target}, plan {draft.plan}"
