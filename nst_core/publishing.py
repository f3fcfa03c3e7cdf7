"""Publishes a style folder: as a repository of the person's, and in a pull request against the registry."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants
from pydantic import ValidationError

from nst_core import hub
from nst_core.errors import NSTError
from nst_core.registry import Entry, add_entry, read_registry
from nst_core.report import examine
from nst_core.style import WEIGHTS, read_card
from nst_core.text import explain, slug


class PublishingError(NSTError):
    """A style that cannot be published as it is."""


@dataclass(frozen=True)
class Published:
    """Where a style was published."""

    repo: str
    pull_request: str | None
    """The address of the pull request that proposes it, if there is a registry to propose it to."""

    @property
    def url(self) -> str:
        """The repository's page."""
        return f"{constants.ENDPOINT}/{self.repo}"


def publish_style(folder: Path, repo: str, *, registry: str | None = None, token: str | None = None) -> Published:
    """Publish a style folder as the repository ``user/name`` and propose it to a registry on the Hub.

    ``token`` is the person's, by default the one that this machine is logged in with.

    Raises:
        PublishingError: ``examine`` finds something to mend, or the style was published, but not proposed.
        HubError: the Hub does not take it.
        RegistryError: the registry has another style of that name.
    """
    if faults := [finding.words for finding in examine(folder).findings if not finding.passed]:
        raise PublishingError(faults[0])
    fields = {
        **read_card(folder).model_dump(exclude={"text"}),
        "id": slug(repo.rpartition("/")[2]),
        "repo": repo,
        "revision": "0" * 40,  # not known yet
        "sha256": hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest(),
    }
    try:
        # Checked before anything is made that would have to be undone.
        dry = Entry.model_validate(fields)
    except ValidationError as error:
        raise PublishingError(explain(error, "the style's entry")) from error
    if registry:
        add_entry(read_registry(hub.fetch_registry(registry, token=token)), dry)
    revision = hub.publish(folder, repo, token)
    if not registry:
        return Published(repo, None)
    try:
        return Published(repo, hub.propose(registry, dry.model_copy(update={"revision": revision}), token))
    except NSTError as error:
        raise PublishingError(f"{repo} is published, but not proposed to {registry}: {error}") from error
