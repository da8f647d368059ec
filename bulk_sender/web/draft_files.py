"""What all screens about a prepared send ask first: which draft, where its file is, and what its columns are."""

from __future__ import annotations

from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request

from bulk_sender.web import mapping, server_files
from bulk_sender.web.drafts import Draft, Step
from bulk_sender.web.site import Site
from bulk_sender.web.uploads import UploadError


def draft_of(site: Site, request: Request) -> Draft:
    """Return the draft of a request's address. Raises HTTPException 404 if there is none with a whole file."""
    draft = site.store.draft(request.path_params["draft"])
    if draft is not None:
        draft = site.uploads.settle(draft, request.scope["person"].name)
    if draft is None or draft.step is Step.UPLOADING:
        raise HTTPException(404)
    return draft


def path_of(site: Site, draft: Draft) -> Path:
    """Return a draft's file. One of the server must still be in an allowed folder. Raises UploadError."""
    path = site.uploads.path(draft)
    if draft.path and not server_files.is_allowed(site.folders, path):
        raise UploadError("this file is not there any more", hint="go back and choose another file")
    return path


def choices_of(site: Site, draft: Draft) -> mapping.Choices:
    """Return what a draft's columns are: as somebody chose, or as the library suggests."""
    return mapping.Choices.of(draft.config) if draft.config else mapping.suggested(path_of(site, draft), {})
