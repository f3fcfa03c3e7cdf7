"""Everything that talks to the Hugging Face Hub: styles and registries are fetched, found, published, proposed."""

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, TypedDict

from huggingface_hub import (
    CommitOperationAdd,
    HfApi,
    constants,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import ModelInfo, SpaceInfo
from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # exported for whichever httpx it is built on

from nst_core.errors import NSTError
from nst_core.registry import COMMIT, MAX_REGISTRY, REGISTRY, Entry, Registry, add_entry
from nst_core.style import CONFIG, HUB_TAGS, MAX_BYTES, PREVIEW, WEIGHTS
from nst_core.text import plain, quoted

logger = logging.getLogger(__name__)

TIMEOUT = 10
"""Seconds to wait for the Hub's answer."""


class HubError(NSTError):
    """Something that cannot be had from the Hub, or that it does not take."""


@dataclass(frozen=True)
class Found:
    """A repository that is tagged as a style, as it is now; nobody has looked at it."""

    repo: str
    revision: str
    title: str
    artist: str
    license: str
    likes: int
    modified: datetime | None


def fetch(repo: str, revision: str | None = None) -> Path:
    """The folder, in the Hub's cache, with a style repository's four files; its name is the commit's hash.

    ``revision`` is a branch, a tag or a commit hash, by default the main branch. A full commit hash that was fetched
    before makes no request; a branch does, and is taken as it last was where the Hub cannot be reached.

    Raises:
        HubError: no such repository or revision, no access, no answer, or no style in it.
    """
    with _refusals(repo, revision):
        if revision and re.fullmatch(COMMIT, revision) and (kept := _kept(repo, revision, CONFIG, WEIGHTS)):
            return kept
        info = _info(repo, revision)
        if info is None:
            return _as_last_fetched(repo, revision, CONFIG, WEIGHTS)
        return _download(repo, info, MAX_BYTES, [CONFIG, WEIGHTS], "a style", revision)


def fetch_registry(repo: str, revision: str | None = None) -> Path:
    """The folder, in the Hub's cache, with a repository's ``registry.yaml``; ``revision`` as for ``fetch``.

    ``repo`` is that of a model, ``user/repo``, or of a Space, ``spaces/user/repo``.

    Raises:
        HubError: no such repository or revision, no access, no answer, or no registry in it.
    """
    with _refusals(repo, revision):
        info = _info(repo, revision)
        if info is None:
            return _as_last_fetched(repo, revision, REGISTRY)
        return _download(repo, info, {REGISTRY: MAX_REGISTRY}, [REGISTRY], "a registry", revision)


def registry_at(repo: str, revision: str | None = None) -> Registry:
    """A registry as it is at a revision; what it says lies beside it, as in a Space, is not fetched.

    Raises:
        HubError: see ``fetch_registry``.
        RegistryError: something in it is not as it should be.
    """
    path = fetch_registry(repo, revision) / REGISTRY
    return Registry.parse(path.read_text(encoding="utf-8"), path)


def fetch_preview(repo: str, revision: str) -> Path:
    """The picture that a gallery shows of a style, without the rest of it.

    Raises:
        HubError: there is none, it is too large, no answer.
    """
    with _refusals(repo, revision):
        if kept := _kept(repo, revision, PREVIEW):
            return kept / PREVIEW
        size = get_hf_file_metadata(hf_hub_url(repo, PREVIEW, revision=revision), timeout=TIMEOUT).size or 0
        if size > MAX_BYTES[PREVIEW]:
            raise HubError(f"{PREVIEW} of {repo} has {size:,} bytes, and at most {MAX_BYTES[PREVIEW]:,} are right.")
        return Path(hf_hub_download(repo, PREVIEW, revision=revision))


def find(sort: Literal["likes", "last_modified"] = "likes", limit: int = 50) -> list[Found]:
    """Repositories that are tagged as styles: the most liked, or the newest, first.

    Raises:
        HubError: the Hub does not answer.
    """
    with _refusals("the styles there are"):
        models = HfApi().list_models(
            filter=HUB_TAGS[-1],
            sort=sort,
            limit=limit,
            expand=["cardData", "lastModified", "likes", "sha"],
        )
        return [_found(model) for model in models if model.sha]


def _found(model: ModelInfo) -> Found:
    card = model.card_data.to_dict() if model.card_data else {}
    title, artist, license = (plain(str(card.get(key) or "")) for key in ("title", "artist", "license"))
    assert model.sha
    return Found(model.id, model.sha, title or model.id, artist, license, model.likes or 0, model.last_modified)


def publish(folder: Path, repo: str, token: str | None = None) -> str:
    """Make a style folder's four files a repository of that name; gives the commit's hash.

    ``token`` is a person's, by default the one that this machine is logged in with. A repository of that name that
    holds no style yet, or this very one, is filled: what was interrupted can be done again.

    Raises:
        HubError: the name is taken or not the person's, the token may not write, no answer.
    """
    api = HfApi(token=token)
    with _refusals(repo):
        api.create_repo(repo, exist_ok=True)
        info = api.model_info(repo, timeout=TIMEOUT)
        if any(file.rfilename == WEIGHTS for file in info.siblings or []):
            there = Path(hf_hub_download(repo, WEIGHTS, revision=info.sha, token=token))
            if there.read_bytes() != (folder / WEIGHTS).read_bytes():
                raise HubError(f"{repo} holds another style already: choose another name for the repository.")
        files = [CommitOperationAdd(file, folder / file) for file in MAX_BYTES if (folder / file).is_file()]
        return api.create_commit(repo, files, commit_message="The style").oid


def propose(registry: str, entry: Entry, token: str | None = None) -> str:
    """Open a pull request that adds an entry to a registry on the Hub; gives its address, or that of one that does.

    Raises:
        HubError: no such registry, the token may not do it, no answer.
        RegistryError: the registry has that id already.
    """
    api, place, message = HfApi(token=token), _place(registry), f"Add {entry.title}"
    with _refusals(registry):
        addition = _addition(registry, [entry])
        for pull in api.get_repo_discussions(**place, discussion_type="pull_request", discussion_status="open"):
            if pull.title == message and entry in registry_at(registry, f"refs/pr/{pull.num}").entries:
                return pull.url
        commit = api.create_commit(**place, operations=[addition], commit_message=message, create_pr=True)
        assert commit.pr_url
        return commit.pr_url


def base_of(registry: str, number: int) -> str:
    """The commit of a registry's main branch that a pull request changes.

    Raises:
        HubError: there is no such pull request, no answer.
    """
    api, place = HfApi(), _place(registry)
    with _refusals(registry, f"refs/pr/{number}"):
        proposed = api.list_repo_commits(**place, revision=f"refs/pr/{number}")
        main = {commit.commit_id for commit in api.list_repo_commits(**place)}
    for commit in proposed:
        if commit.commit_id in main:
            return commit.commit_id
    raise HubError(f"Pull request {number} does not begin at any commit of {registry}'s main branch: close it.")


def accept(registry: str, number: int, entries: list[Entry], token: str | None = None) -> None:
    """Merge a pull request that adds these entries to a registry on the Hub.

    Where another was merged since, and both added to the end of the list, which git does not merge, the entries are
    added by a commit of one's own, and the pull request is closed with a word about it.

    Raises:
        HubError: there is none, it is not the person's to merge, no answer.
        RegistryError: the registry has one of these ids by now.
    """
    api, place = HfApi(token=token), _place(registry)
    with _refusals(registry):
        if not api.get_discussion_details(**place, discussion_num=number).conflicting_files:
            api.merge_pull_request(**place, discussion_num=number)
            return
        message = f"Add {', '.join(entry.title for entry in entries)} (pull request {number})"
        commit = api.create_commit(**place, operations=[_addition(registry, entries)], commit_message=message)
        api.change_discussion_status(
            **place, discussion_num=number, new_status="closed", comment=f"Added by {commit.commit_url}: thank you."
        )


def _addition(registry: str, entries: list[Entry]) -> CommitOperationAdd:
    """A registry as it is now, and these entries."""
    text = (fetch_registry(registry) / REGISTRY).read_text(encoding="utf-8")
    for entry in entries:
        text = add_entry(text, entry)
    return CommitOperationAdd(REGISTRY, text.encode())


def page(repo: str) -> str:
    """The address of a repository for people to look at."""
    return f"{constants.ENDPOINT}/{repo}"


def user_name(token: str | None = None) -> str:
    """Whose token it is, by default the one that this machine is logged in with.

    Raises:
        HubError: there is none, or the Hub does not know it, or does not answer.
    """
    with _refusals("your name"):
        return HfApi(token=token).whoami()["name"]


class _Place(TypedDict):
    """A repository as the client wants it named."""

    repo_id: str
    repo_type: Literal["model", "space"]


def _place(repo: str) -> _Place:
    return {"repo_id": repo.removeprefix("spaces/"), "repo_type": "space" if repo.startswith("spaces/") else "model"}


def _info(repo: str, revision: str | None) -> ModelInfo | SpaceInfo | None:
    """What the Hub says of a repository; None where it cannot be reached."""
    try:
        info = HfApi().repo_info(**_place(repo), revision=revision, files_metadata=True, timeout=TIMEOUT)
    except (httpx.TransportError, OfflineModeIsEnabled):
        return None
    assert isinstance(info, (ModelInfo, SpaceInfo))
    return info


def _download(
    repo: str, info: ModelInfo | SpaceInfo, most: dict[str, int], needed: list[str], what: str, revision: str | None
) -> Path:
    """Fetch the files of that list that there are, none larger than said."""
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
    if missing := [file for file in needed if file not in sizes]:
        raise HubError(f"{repo} on the Hugging Face Hub is not {what}: it lacks {' and '.join(missing)}.")
    for file, limit in most.items():
        if sizes.get(file, 0) > limit:
            raise HubError(f"{file} of {repo} has {sizes[file]:,} bytes, and at most {limit:,} are right.")
    for file in most:
        if file in sizes:
            path = hf_hub_download(**_place(repo), filename=file, revision=info.sha)
    if revision != info.sha:
        # One more request, so that the cache learns which commit a branch stood for.
        hf_hub_download(**_place(repo), filename=needed[0], revision=revision)
    return Path(path).parent


def _as_last_fetched(repo: str, revision: str | None, *files: str) -> Path:
    """What the cache has of a repository whose Hub is away."""
    if kept := _kept(repo, revision, *files):
        logger.warning("The Hugging Face Hub could not be reached: %s is used as it was when last fetched.", repo)
        return kept
    raise ConnectionError


def _kept(repo: str, revision: str | None, *files: str) -> Path | None:
    paths = [try_to_load_from_cache(**_place(repo), filename=file, revision=revision) for file in files]
    return Path(str(paths[0])).parent if all(isinstance(path, str) for path in paths) else None


@contextmanager
def _refusals(what: str, revision: str | None = None) -> Iterator[None]:
    """Turn what the client raises when it is asked for ``what`` into one sentence.

    Raises:
        HubError: that sentence.
    """
    try:
        yield
    except GatedRepoError as error:
        raise HubError(
            f"{what} is gated: ask for access on its page on the Hugging Face Hub, and log in with `hf auth login`."
        ) from error
    except RepositoryNotFoundError as error:
        raise HubError(
            f"There is no repository {what} on the Hugging Face Hub, or it is private: check its name, or log in with "
            "`hf auth login`."
        ) from error
    except RevisionNotFoundError as error:
        raise HubError(
            f"{what} has no revision {quoted(revision)}: it should be a branch, tag or commit hash."
        ) from error
    except HFValidationError as error:
        raise HubError(f"{quoted(what)} is no name of a repository: it should read user/name.") from error
    except LocalTokenNotFoundError as error:
        raise HubError("The Hugging Face Hub wants to know who you are: log in with `hf auth login`.") from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        remedy = "log in with a token that may do it" if status in (401, 403) else "try again later"
        raise HubError(f"The Hugging Face Hub answered {status} when asked for {what}: {remedy}.") from error
    except (httpx.TransportError, json.JSONDecodeError, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise HubError(f"{what} could not be kept on this machine: {error.strerror}.") from error
        reason = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else "check the connection"
        raise HubError(
            f"The Hugging Face Hub could not be reached for {what}, and no copy of it is kept here: {reason}."
        ) from error
