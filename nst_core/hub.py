"""Everything that talks to the Hugging Face Hub: styles and registries are fetched, found, published, proposed."""

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

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
from huggingface_hub.hf_api import ModelInfo
from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # exported for whichever httpx it is built on

from nst_core.errors import NSTError
from nst_core.registry import COMMIT, MAX_REGISTRY, REGISTRY, Entry, add_entry
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
        return _download(info, MAX_BYTES, [CONFIG, WEIGHTS], "a style", revision)


def fetch_registry(repo: str, revision: str | None = None) -> Path:
    """The folder, in the Hub's cache, with a repository's ``registry.yaml``; ``revision`` as for ``fetch``.

    Raises:
        HubError: no such repository or revision, no access, no answer, or no registry in it.
    """
    with _refusals(repo, revision):
        info = _info(repo, revision)
        if info is None:
            return _as_last_fetched(repo, revision, REGISTRY)
        return _download(info, {REGISTRY: MAX_REGISTRY}, [REGISTRY], "a registry", revision)


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
    holds no style yet is filled: what was interrupted can be done again.

    Raises:
        HubError: the name is taken or not the person's, the token may not write, no answer.
    """
    api = HfApi(token=token)
    with _refusals(repo):
        api.create_repo(repo, exist_ok=True)
        info = api.model_info(repo, timeout=TIMEOUT)
        if any(file.rfilename == WEIGHTS for file in info.siblings or []):
            raise HubError(f"{repo} holds a style already: choose another name for the repository.")
        files = [CommitOperationAdd(file, folder / file) for file in MAX_BYTES if (folder / file).is_file()]
        return api.create_commit(repo, files, commit_message="The style").oid


def propose(registry: str, entry: Entry, token: str | None = None) -> str:
    """Open a pull request that adds an entry to a registry on the Hub; gives its address.

    Raises:
        HubError: no such registry, the token may not do it, no answer.
        RegistryError: the registry has that id already.
    """
    api = HfApi(token=token)
    with _refusals(registry):
        text = (fetch_registry(registry) / REGISTRY).read_text(encoding="utf-8")
        addition = CommitOperationAdd(REGISTRY, add_entry(text, entry).encode())
        commit = api.create_commit(registry, [addition], commit_message=f"Add {entry.title}", create_pr=True)
        assert commit.pr_url
        return commit.pr_url


def merge(registry: str, number: int, token: str | None = None) -> None:
    """Merge a pull request into a registry on the Hub.

    Raises:
        HubError: there is none, it is not the person's to merge, no answer.
    """
    with _refusals(registry):
        HfApi(token=token).merge_pull_request(registry, number)


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


def _info(repo: str, revision: str | None) -> ModelInfo | None:
    """What the Hub says of a repository; None where it cannot be reached."""
    try:
        return HfApi().model_info(repo, revision=revision, files_metadata=True, timeout=TIMEOUT)
    except (httpx.TransportError, OfflineModeIsEnabled):
        return None


def _download(info: ModelInfo, most: dict[str, int], needed: list[str], what: str, revision: str | None) -> Path:
    """Fetch the files of that list that there are, none larger than said."""
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
    if missing := [file for file in needed if file not in sizes]:
        raise HubError(f"{info.id} on the Hugging Face Hub is not {what}: it lacks {' and '.join(missing)}.")
    for file, limit in most.items():
        if sizes.get(file, 0) > limit:
            raise HubError(f"{file} of {info.id} has {sizes[file]:,} bytes, and at most {limit:,} are right.")
    for file in most:
        if file in sizes:
            path = hf_hub_download(info.id, file, revision=info.sha)
    if revision != info.sha:
        # One more request, so that the cache learns which commit a branch stood for.
        hf_hub_download(info.id, needed[0], revision=revision)
    return Path(path).parent


def _as_last_fetched(repo: str, revision: str | None, *files: str) -> Path:
    """What the cache has of a repository whose Hub is away."""
    if kept := _kept(repo, revision, *files):
        logger.warning("The Hugging Face Hub could not be reached: %s is used as it was when last fetched.", repo)
        return kept
    raise ConnectionError


def _kept(repo: str, revision: str | None, *files: str) -> Path | None:
    paths = [try_to_load_from_cache(repo, file, revision=revision) for file in files]
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
