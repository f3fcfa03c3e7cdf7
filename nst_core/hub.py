"""Everything that talks to the Hugging Face Hub."""

import json
import logging
import re
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # exported for whichever httpx it is built on

from nst_core.architectures import ARCHITECTURES
from nst_core.errors import NSTError
from nst_core.gate import max_bytes
from nst_core.style import CARD, CONFIG, MAX_CARD, MAX_CONFIG, PREVIEW, WEIGHTS
from nst_core.text import quoted

logger = logging.getLogger(__name__)

TIMEOUT = 10
"""Seconds to wait for the Hub's answer."""
MAX_BYTES = {
    CARD: MAX_CARD,
    PREVIEW: 2**23,
    CONFIG: MAX_CONFIG,
    WEIGHTS: max(max_bytes(architecture) for architecture in ARCHITECTURES.values()),
}
"""The files of a style that are fetched, and what each may have at most."""


class HubError(NSTError):
    """A repository that cannot be had from the Hub, or that holds no style."""


def fetch(repo: str, revision: str | None = None) -> Path:
    """The folder, in the Hub's cache, with a style repository's four files.

    ``revision`` is a branch, a tag or a commit hash, by default the main branch. A full commit hash that was fetched
    before makes no request; a branch does, and is taken as it last was where the Hub cannot be reached.

    Raises:
        HubError: no such repository or revision, no access, no answer, or no style in it.
    """
    try:
        return _fetch(repo, revision)
    except GatedRepoError as error:
        raise HubError(
            f"{repo} is gated: ask for access on its page on the Hugging Face Hub, and log in with `hf auth login`."
        ) from error
    except RepositoryNotFoundError as error:
        raise HubError(
            f"There is no repository {repo} on the Hugging Face Hub, or it is private: check its name, or log in with "
            "`hf auth login`."
        ) from error
    except RevisionNotFoundError as error:
        raise HubError(
            f"{repo} has no revision {quoted(revision)}: it should be a branch, tag or commit hash."
        ) from error
    except HFValidationError as error:
        raise HubError(f"{quoted(repo)} is no name of a repository: it should read user/name.") from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        remedy = "log in with a token that may read it" if status in (401, 403) else "try again later"
        raise HubError(f"The Hugging Face Hub answered {status} when asked for {repo}: {remedy}.") from error
    except (httpx.TransportError, json.JSONDecodeError, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise HubError(f"{repo} could not be kept on this machine: {error.strerror}.") from error
        reason = "HF_HUB_OFFLINE is set" if isinstance(error, OfflineModeIsEnabled) else "check the connection"
        raise HubError(
            f"The Hugging Face Hub could not be reached for {repo}, and no copy of it is kept here: {reason}."
        ) from error


def _fetch(repo: str, revision: str | None) -> Path:
    if revision and re.fullmatch("[0-9a-f]{40}", revision) and (kept := _kept(repo, revision)):
        return kept
    try:
        info = HfApi().model_info(repo, revision=revision, files_metadata=True, timeout=TIMEOUT)
    except (httpx.TransportError, OfflineModeIsEnabled):
        if kept := _kept(repo, revision):
            logger.warning("The Hugging Face Hub could not be reached: %s is used as it was when last fetched.", repo)
            return kept
        raise
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
    if missing := [file for file in (CONFIG, WEIGHTS) if file not in sizes]:
        raise HubError(f"{repo} on the Hugging Face Hub is not a style: it lacks {' and '.join(missing)}.")
    for file, most in MAX_BYTES.items():
        if sizes.get(file, 0) > most:
            raise HubError(f"{file} of {repo} has {sizes[file]:,} bytes, and at most {most:,} are right.")
    for file in MAX_BYTES:
        if file in sizes:
            path = hf_hub_download(repo, file, revision=info.sha)
    if revision != info.sha:
        # One more request, so that the cache learns which commit a branch stood for.
        hf_hub_download(repo, CONFIG, revision=revision)
    return Path(path).parent


def _kept(repo: str, revision: str | None) -> Path | None:
    config, weights = (try_to_load_from_cache(repo, file, revision=revision) for file in (CONFIG, WEIGHTS))
    return Path(weights).parent if isinstance(config, str) and isinstance(weights, str) else None
