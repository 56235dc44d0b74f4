"""Names on Hugging Face's hub: whether one can be had, asked quickly and before anything heavy is imported."""

from typing import Literal

from util.errors import UserError

SECONDS = 5.0
"""How long the hub may take to answer."""


def check_on_hub(name: str, kind: Literal["model", "dataset"], flag: str) -> None:
    """See that ``name`` is in the local cache or can be had from the hub.

    Args:
        flag: what the user names it with, for messages.

    Raises:
        UserError: if it is no name of the hub, is not there, or the hub does not answer.
    """
    from huggingface_hub import HfApi, constants, scan_cache_dir, try_to_load_from_cache
    from huggingface_hub.errors import CacheNotFound, HFValidationError, OfflineModeIsEnabled, RepositoryNotFoundError

    folder = f"no folder {name} here, and"
    try:
        if kind == "model":
            cached = isinstance(try_to_load_from_cache(name, "config.json"), str)
        else:
            cached = any(repository.repo_id == name and repository.repo_type == kind for repository in scan_cache_dir().repos)
    except CacheNotFound:
        cached = False
    except HFValidationError as error:
        raise UserError(f"{flag} {name}: there is {folder} that is no name on the hub, which are OWNER/NAME; correct it.") from error
    if cached:
        return
    try:
        HfApi().repo_info(name, repo_type=kind, timeout=SECONDS)
    except HFValidationError as error:
        raise UserError(f"{flag} {name}: there is {folder} that is no name on the hub, which are OWNER/NAME; correct it.") from error
    except RepositoryNotFoundError as error:
        raise UserError(f"{flag} {name}: there is {folder} no such {kind} on the hub, or you may not see it (hf auth login).") from error
    except OfflineModeIsEnabled as error:
        raise UserError(f"{flag} {name}: there is {folder} it is not in the hub's cache; HF_HUB_OFFLINE is set, so nothing is fetched.") from error
    except Exception as error:  # of many kinds: the library's own and those of the network client that it happens to use
        raise UserError(
            f"{flag} {name}: there is {folder} {constants.ENDPOINT} does not answer ({' '.join(str(error).split())[:200]}); check the network, or "
            "give a local folder (with HF_HUB_OFFLINE=1 the cache alone is asked)."
        ) from error


def check_repository(name: str, flag: str) -> None:
    """See that ``name`` can be that of a repository, before there is anything to upload.

    Raises:
        UserError: if it cannot.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # which is documented there

    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise UserError(f"{flag} {name} is no name on the hub, which are OWNER/NAME; correct it.") from error
