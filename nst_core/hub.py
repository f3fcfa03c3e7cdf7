"""Styles and registries on the Hugging Face Hub: fetches, finds, publishes and proposes them."""

import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from huggingface_hub import (
    CommitOperationAdd,
    HfApi,
    constants,
    get_token,
    hf_hub_download,
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
from huggingface_hub.utils import (  # type: ignore[attr-defined]  # its documentation names them
    build_hf_headers,
    get_session,
    hf_raise_for_status,
    httpx,  # whichever it is built on
)
from pydantic import BaseModel, Field, ValidationError

from nst_core.errors import NSTError
from nst_core.images import bare_webp, fit, open_picture
from nst_core.registry import COMMIT, MAX_REGISTRY, REGISTRY, Entry, Registry, add_entry, read_registry, same_repo
from nst_core.style import CARD, CONFIG, HUB_TAGS, MAX_BYTES, PREVIEW, PREVIEW_SIZE, WEIGHTS, tagged
from nst_core.text import few, plain, quoted

logger = logging.getLogger(__name__)

TIMEOUT = 10
"""Seconds to wait for the Hub's answer."""
PATIENCE = 60
"""Seconds that it may be silent where the client takes no timeout, as for a commit; on a slow line, the last megabytes
are still on their way when all is sent."""
PUBLIC = "choose one that anybody may read"
"""The advice to people who cannot log this machine in, as a page's visitors."""


class HubError(NSTError):
    """Something that the Hub does not give, or does not accept."""


class HubBusy(HubError):
    """The Hub was asked too often, and refuses this machine everything for a while."""


@dataclass(frozen=True)
class Found:
    """A repository that is tagged as a style, unreviewed; its card may say anything."""

    repo: str
    revision: str
    """The hash of its main branch's latest commit."""
    title: str
    artist: str
    license: str
    likes: int


def fetch(
    repo: str,
    revision: str | None = None,
    *,
    refuse: Callable[[str, str], None] | None = None,
    into: Path | None = None,
    refresh: bool = False,
) -> Path:
    """The folder, in the Hub's cache, with a style repository's four files; its name is the commit's hash.

    ``revision`` is a branch, a tag or a commit hash, by default the main branch. A full commit hash that was fetched
    before needs no request, unless ``refresh`` is set; a branch does, and where the Hub cannot be reached,
    the files last fetched are used.

    ``refuse`` is called before anything is fetched, with the repository's present name on the Hub (a renamed one
    answers to its former names, too) and the commit's hash.

    With ``into``, for strangers' requests, the files are fetched to a folder in that one, and anonymously: neither
    this machine's cache nor its token is used.

    Raises:
        HubError: no such repository or revision, no access, no answer, or no style in it.
    """
    with _refusals(repo, revision, kept=True, anybody=into is not None):
        if into:
            info = _info(repo, revision, token=False)
            if refuse:
                refuse(info.id, _sha(info))
            return _download(repo, info, MAX_BYTES, [CONFIG, WEIGHTS], "a style", into, token=False)
        fixed = revision and re.fullmatch(COMMIT, revision)
        if fixed and not refresh and (kept := _kept(repo, revision, CONFIG, WEIGHTS)):
            return kept
        return _latest(repo, revision, MAX_BYTES, [CONFIG, WEIGHTS], "a style", refuse=refuse, refresh=refresh)


def fetch_registry(repo: str, revision: str | None = None, token: str | None = None) -> Path:
    """A repository's ``registry.yaml``, in the Hub's cache; ``revision`` as for ``fetch``.

    ``repo`` is that of a model, ``user/repo``, or of a Space, ``spaces/user/repo``. ``token`` is a person's, by default
    the one that this machine is logged in with.

    Raises:
        HubError: no such repository or revision, no access, no answer, or no registry in it.
    """
    with _refusals(repo, revision, kept=True):
        return _latest(repo, revision, {REGISTRY: MAX_REGISTRY}, [REGISTRY], "a registry", token) / REGISTRY


def registry_at(repo: str, revision: str | None = None, token: str | None = None) -> Registry:
    """A registry at a revision; folders of styles beside it, as a Space has them, are not fetched.

    Raises:
        HubError: see ``fetch_registry``.
        RegistryError: something in it is not as it should be.
    """
    path = fetch_registry(repo, revision, token)
    return Registry.parse(read_registry(path), path)


def fetch_preview(repo: str, revision: str) -> Path:
    """The picture that a gallery shows of a style, without the rest of it.

    Raises:
        HubError: there is none, it is too large, no answer.
    """
    with _refusals(repo, revision, kept=True):
        most, what = {PREVIEW: MAX_BYTES[PREVIEW]}, "a style with a preview"
        return (_kept(repo, revision, PREVIEW) or _latest(repo, revision, most, [PREVIEW], what)) / PREVIEW


def find(sort: Literal["likes", "last_modified"] = "likes") -> list[Found]:
    """Repositories that are tagged as styles: the most liked, or the newest, first.

    Raises:
        HubError: the Hub does not answer.
    """
    wanted: dict[str, str | int | list[str]] = {
        "filter": HUB_TAGS[-1],
        "sort": "lastModified" if sort == "last_modified" else sort,
        "limit": 50,
        "expand": ["cardData", "likes", "sha"],
    }
    with _refusals("the styles there are"):
        # Not the client's own listing, which fails altogether on a single card with a strange key.
        response = get_session().get(
            f"{constants.ENDPOINT}/api/models",
            params=wanted,
            headers=build_hf_headers(token=False),
            timeout=TIMEOUT,
        )
        hf_raise_for_status(response)
        models = response.json()
    found = []
    for model in models if isinstance(models, list) else []:
        try:
            found.append(_Listed.model_validate(model).found())
        except ValidationError:
            logger.warning("Something that the Hugging Face Hub lists as a style is skipped.")
    return found


class _Listed(BaseModel):
    """A repository as the Hub lists it."""

    id: str
    sha: str = Field(pattern=f"^{COMMIT}$")
    likes: int = 0
    card: dict[str, Any] | None = Field(None, alias="cardData")

    def found(self) -> Found:
        title, artist, license = (
            plain(str((self.card or {}).get(key) or "")) for key in ("title", "artist", "license")
        )
        return Found(self.id, self.sha, title or self.id, artist, license, self.likes)


def publish(folder: Path, repo: str, token: str | None = None) -> str:
    """Upload a style folder's four files as the repository ``repo``; returns the commit's hash.

    The card's example then opens that repository, and the card has the tags that ``find`` looks for; a preview with
    EXIF data or the like, which may say where it was taken, is drawn anew without. A repository that holds nothing but
    a card, or these very weights, is completed, so that an interrupted upload can be repeated. ``token`` is
    a person's, by default the one that this machine is logged in with.

    Raises:
        HubError: the name is taken or not the person's, the repository is not public, the token may not write, no
            answer.
    """
    api = HfApi(token=token)
    with _refusals(repo):
        api.create_repo(repo, exist_ok=True)
        files = {file: (folder / file).read_bytes() for file in MAX_BYTES if (folder / file).is_file()}
        _check_free(repo, files[WEIGHTS], token)
        # A card's example opens the card's folder, which its readers on the Hub do not have.
        card = files[CARD].replace(b'load().open(".")', f'load().open("{repo}")'.encode())
        files[CARD] = tagged(card.decode("utf-8-sig")).encode()
        if PREVIEW in files:
            preview = bare_webp(files[PREVIEW])
            if len(preview) > MAX_BYTES[PREVIEW]:  # a JPEG may have had fewer
                preview = bare_webp(fit(open_picture(files[PREVIEW]), PREVIEW_SIZE))
            files[PREVIEW] = preview
        additions = [CommitOperationAdd(file, data) for file, data in files.items()]
        with _no_warning("No files have been modified"):  # where it was published before
            return api.create_commit(repo, additions, commit_message="The style").oid


def _check_free(repo: str, weights: bytes, token: str | None) -> None:
    """Refuse a repository that is not public, or holds something else than a card or these weights."""
    info = _info(repo, None, token=token)
    if closed := "private" if info.private else "gated" if info.gated else "":
        raise HubError(f"{repo} is {closed}: make it public on its page, or choose another name.")
    sizes = {file.rfilename: file.size for file in info.siblings or []}
    if WEIGHTS in sizes:
        # A file of another size is not fetched: it may be huge.
        if sizes[WEIGHTS] != len(weights) or (
            Path(hf_hub_download(repo, WEIGHTS, revision=info.sha, token=token)).read_bytes() != weights
        ):
            raise HubError(
                f"{repo} already holds other weights: choose another name for the repository, or replace its files "
                "on its page."
            )
    elif others := sorted(sizes.keys() - {CARD, ".gitattributes"}):
        raise HubError(f"{repo} already holds {few(others)}: choose another name for the repository.")


def propose(registry: str, entry: Entry, token: str | None = None) -> str:
    """Open a pull request that adds an entry to a registry on the Hub, if none of the person's does; returns its
    address.

    Their open ones that add another entry of that id or repository are closed: it takes their place.

    Raises:
        HubError: no such registry, the token may not do it, no answer.
        RegistryError: the registry has that id or repository already.
    """
    api, place = HfApi(token=token), _place(registry)
    with _refusals(registry):
        addition = _addition(registry, [entry], token)
        address, outdated = None, []
        for pull in api.get_repo_discussions(
            **place, author=user_name(token), discussion_type="pull_request", discussion_status="open"
        ):
            proposed = _last_entry(registry, pull.num, token)
            if proposed == entry:
                address = pull.url
            elif proposed and (proposed.id == entry.id or same_repo(proposed.repo, entry.repo)):
                outdated.append(pull.num)
        if address is None:
            address = api.create_commit(**place, **addition, commit_message=f"Add {entry.title}", create_pr=True).pr_url
            assert address
        for number in outdated:
            api.change_discussion_status(
                **place, discussion_num=number, new_status="closed", comment=f"Replaced by {address}."
            )
        return address


def _last_entry(registry: str, number: int, token: str | None) -> Entry | None:
    """The entry at the end of what a pull request would make of a registry, where ``propose`` adds one."""
    try:
        entries = registry_at(registry, f"refs/pr/{number}", token).entries
    except NSTError:
        return None
    return entries[-1] if entries else None


def base_of(registry: str, number: int) -> str:
    """The commit of a registry's main branch that a pull request is based on.

    Raises:
        HubError: there is no such pull request, no answer.
    """
    api, place = HfApi(), _place(registry)
    with _refusals(registry, f"refs/pr/{number}"):
        # This fails at once if nobody answers, where the other requests retry again and again.
        api.repo_info(**place, timeout=TIMEOUT)
        proposed = api.list_repo_commits(**place, revision=f"refs/pr/{number}")
        main = {commit.commit_id for commit in api.list_repo_commits(**place)}
    for commit in proposed:
        if commit.commit_id in main:
            return commit.commit_id
    raise HubError(f"Pull request {number} does not begin at any commit of {registry}'s main branch: close it.")


def status_of(registry: str, number: int) -> str:
    """A pull request's status: open, closed, merged or draft.

    Raises:
        HubError: there is no such pull request, no answer.
    """
    with _refusals(registry):
        return HfApi().get_discussion_details(**_place(registry), discussion_num=number).status


def is_on_main(repo: str, revision: str) -> bool:
    """Whether a commit is on a repository's main branch, its owner's; anybody may add others in pull requests.

    Raises:
        HubError: there is no such repository, no answer.
    """
    with _refusals(repo):
        return any(commit.commit_id == revision for commit in HfApi().list_repo_commits(**_place(repo)))


def present_name(repo: str) -> str:
    """A repository's present name on the Hub: a renamed one answers to its former names, too.

    Raises:
        HubError: there is no such repository, no answer.
    """
    with _refusals(repo):
        return _info(repo, None).id


def accept(registry: str, number: int, entries: list[Entry]) -> None:
    """Add the entries that a pull request proposes to a registry on the Hub, and close it with a comment.

    The pull request is not merged as such, as it may change more than the entries that were reviewed.

    Raises:
        HubError: there is none, the registry is not the person's to change or was just changed, no answer.
        RegistryError: the registry has one of these ids or repositories by now.
    """
    api, place = HfApi(), _place(registry)
    message = f"Add {', '.join(entry.title for entry in entries)} (pull request {number})"
    with _refusals(registry):
        commit = api.create_commit(**place, **_addition(registry, entries), commit_message=message)
        api.change_discussion_status(
            **place, discussion_num=number, new_status="closed", comment=f"Added by {commit.commit_url}: thank you."
        )


def _addition(registry: str, entries: list[Entry], token: str | None = None) -> dict[str, Any]:
    """The client's arguments for a commit that appends entries to a registry as it is now.

    It fails if somebody changes the registry first.
    """
    sha = _sha(_info(registry, None, token=token))
    text = read_registry(fetch_registry(registry, sha, token))
    for entry in entries:
        text = add_entry(text, entry)
    return {"operations": [CommitOperationAdd(REGISTRY, text.encode())], "parent_commit": sha}


def user_name(token: str | None = None) -> str:
    """The name of a token's owner, by default of the one that this machine is logged in with.

    Raises:
        HubError: there is none, or the Hub does not know it, or does not answer.
    """
    with _refusals("your name"):
        return HfApi(token=token).whoami()["name"]


def _place(repo: str) -> dict[str, Any]:
    """The client's arguments that name a repository."""
    return {"repo_id": repo.removeprefix("spaces/"), "repo_type": "space" if repo.startswith("spaces/") else "model"}


def _info(repo: str, revision: str | None, *, token: str | Literal[False] | None = None) -> ModelInfo | SpaceInfo:
    """What the Hub says of a repository."""
    try:
        info = HfApi(token=token).repo_info(**_place(repo), revision=revision, files_metadata=True, timeout=TIMEOUT)
    except (TypeError, AttributeError) as error:  # the client passes a card's keys to its own functions
        raise HubError(
            f"The card of {repo} has something in its front matter that the Hub's client cannot read."
        ) from error
    assert isinstance(info, (ModelInfo, SpaceInfo))
    return info


def _sha(info: ModelInfo | SpaceInfo) -> str:
    assert info.sha
    return info.sha


def _latest(
    repo: str,
    revision: str | None,
    most: dict[str, int],
    needed: list[str],
    what: str,
    token: str | Literal[False] | None = None,
    refuse: Callable[[str, str], None] | None = None,
    refresh: bool = False,
) -> Path:
    """The folder of a repository's files, as they are now, or as last fetched where the Hub fails to answer.

    What anybody may read is read even if this machine's token has expired.
    """
    try:
        info = _info(repo, revision, token=token)
    except (httpx.TransportError, OfflineModeIsEnabled, HfHubHTTPError) as error:
        status = error.response.status_code if isinstance(error, HfHubHTTPError) else 503
        if status == 401 and token is None and get_token():
            logger.warning(
                "The Hugging Face Hub does not accept this machine's token: %s is read without it. Renew the token.",
                repo,
            )
            with _refusals(repo, revision, kept=True, anybody=True):
                return _latest(repo, revision, most, needed, what, False, refuse, refresh)
        kept = _kept(repo, revision, *needed) if status >= 500 or status == 429 else None
        if kept is None:
            raise
        logger.warning("The Hugging Face Hub could not be reached: %s is used as it was when last fetched.", repo)
        return kept
    if refuse:
        refuse(info.id, _sha(info))
    folder = _download(repo, info, most, needed, what, token=token, refresh=refresh)
    if revision != info.sha:
        # One more request, so that the cache learns which commit a branch stood for.
        hf_hub_download(**_place(repo), filename=needed[0], revision=revision, token=token)
    return folder


def _download(
    repo: str,
    info: ModelInfo | SpaceInfo,
    most: dict[str, int],
    needed: list[str],
    what: str,
    into: Path | None = None,
    *,
    token: str | Literal[False] | None,
    refresh: bool = False,
) -> Path:
    """Fetch those files in ``most`` that exist, with at most so many bytes, into the cache or a folder in ``into``."""
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
    if missing := [file for file in needed if file not in sizes]:
        raise HubError(f"{repo} on the Hugging Face Hub is not {what}: it lacks {' and '.join(missing)}.")
    for file, limit in most.items():
        if sizes.get(file, 0) > limit:
            raise HubError(f"{file} of {repo} has {sizes[file]:,} bytes, but at most {limit:,} are allowed.")
    folder = into and into / _sha(info)
    for file in most:
        if file in sizes:
            path = hf_hub_download(
                **_place(repo),
                filename=file,
                revision=info.sha,
                local_dir=folder,
                token=token,
                force_download=refresh,
            )
    return Path(path).parent


def _kept(repo: str, revision: str | None, *files: str) -> Path | None:
    paths = [try_to_load_from_cache(**_place(repo), filename=file, revision=revision) for file in files]
    return Path(str(paths[0])).parent if all(isinstance(path, str) for path in paths) else None


@contextmanager
def _no_warning(beginning: str) -> Iterator[None]:
    """Keep the client from logging what begins with those words."""

    def others(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith(beginning)

    client = logging.getLogger("huggingface_hub.hf_api")
    client.addFilter(others)
    try:
        yield
    finally:
        client.removeFilter(others)


@contextmanager
def _refusals(what: str, revision: str | None = None, *, kept: bool = False, anybody: bool = False) -> Iterator[None]:
    """Turn the client's exceptions into one sentence about ``what``; ``kept`` says that it is cached once fetched.

    ``anybody`` says that the request is anonymous, so that logging in would not help.

    Raises:
        HubError: that sentence.
    """
    no_revision = f"{what} has no revision {quoted(revision)}: it should be a branch, tag or commit hash."
    try:
        session = get_session()
        if session.timeout == httpx.Timeout(None):  # the client's own, which would wait for ever
            session.timeout = httpx.Timeout(PATIENCE)
        yield
    except GatedRepoError as error:
        remedy = "ask for access on its page on the Hugging Face Hub, and log in with `hf auth login`"
        raise HubError(f"{what} is gated: {PUBLIC if anybody else remedy}.") from error
    except RepositoryNotFoundError as error:
        remedy = PUBLIC if anybody else "log in with `hf auth login` as somebody who may read it"
        raise HubError(
            f"There is no repository {what} on the Hugging Face Hub, or it is private: check its name, or {remedy}."
        ) from error
    except (RevisionNotFoundError, httpx.InvalidURL) as error:  # the latter for one that is too long
        raise HubError(no_revision) from error
    except UnicodeEncodeError as error:
        if error.encoding == "ascii":  # a header's, which holds the token
            token = "The token for the Hugging Face Hub has a character that none has"
            raise HubError(f"{token}: log in with `hf auth login`.") from error
        raise HubError(no_revision) from error
    except HFValidationError as error:
        raise HubError(f"{quoted(what)} is not the name of a repository: it should read user/name.") from error
    except LocalTokenNotFoundError as error:
        raise HubError("The Hugging Face Hub needs to know who you are: log in with `hf auth login`.") from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        remedy = "try again later"
        if status in (401, 403):
            remedy = PUBLIC if anybody else "log in with a token that permits it"
        kind = HubBusy if status == 429 else HubError
        raise kind(f"The Hugging Face Hub answered {status} when asked for {what}: {remedy}.") from error
    except (httpx.TransportError, json.JSONDecodeError, OSError, RuntimeError) as error:  # the last is hf_xet's
        if isinstance(error, OSError) and error.errno:
            remedy = "" if anybody else ": set HF_HOME to a folder that can be written to"
            raise HubError(f"{what} could not be saved on this machine ({error.strerror}){remedy}.") from error
        reason = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else "check the connection"
        lacking = ", and no copy of it is kept here" if kept else ""
        raise HubError(f"The Hugging Face Hub could not be reached for {what}{lacking}: {reason}.") from error
