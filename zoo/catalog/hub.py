"""Models of the Hugging Face hub, by its own client: hf://owner/name[@revision] into its cache, and a model folder to it.

Of a repository only files are fetched that a reader here takes, by name. Small ones come first, so that weights in the cache
say that the rest is there. HF_ENDPOINT, HF_TOKEN and HF_HOME are the client's settings, and hold here.
"""

import logging
import re
import shutil
from pathlib import Path

from zoo.catalog import card
from zoo.catalog.cache import offline
from zoo.catalog.files import CARD, KNOWN, README
from zoo.catalog.hub_client import NoHub, answering, api, called, where
from zoo.catalog.kinds import ADAPTER, CONFIG, chosen, takes_pickle
from zoo.errors import ZooError, one_line

log = logging.getLogger(__name__)
COMMIT = re.compile(r"[0-9a-f]{40}")


def folder(repository: str, revision: str | None = None) -> Path:
    """The files of a repository's model, in the hub's cache.

    Args:
        repository: owner/name.
        revision: a branch, tag or commit; None: main. A commit is for ever the same, and asked for once.

    Raises: ZooError for a repository or revision that is not there or not public, without weights that are read here, larger
        than the disk's room, or not in the cache while ZOO_OFFLINE=1 or HF_HUB_OFFLINE=1.
    """
    named, word = called(repository, revision), offline()
    if (word or COMMIT.fullmatch(revision or "")) and (found := _cached(repository, revision, named)):
        return found
    if word:
        raise _absent(named, f"{word} forbids the network.")
    try:
        with answering(named):
            return _fetched(repository, revision, named)
    except NoHub as error:
        if (found := _cached(repository, revision, named)) is None:
            raise _absent(named, str(error)) from error
        log.warning(f"{error} What is in the cache is taken, {str(found)!r}.")
        return found


def content(repository: str, revision: str | None = None) -> card.Card | None:
    """The card.json of a repository, without its weights; None where it has none. Raises: ZooError as `folder` does."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import RemoteEntryNotFoundError

    if offline():
        return card.read(folder(repository, revision))
    with answering(called(repository, revision)):
        try:
            return card.read(Path(hf_hub_download(repository, CARD, revision=revision, **where())).parent)
        except RemoteEntryNotFoundError:
            return None


def push(source: Path, repository: str, *, replace: bool = False, private: bool = False, message: str = "") -> str:
    """Add a model folder to the hub as one commit; the repository is made where there is none.

    Args:
        source: a model folder with a card.json, which must be right about its files.
        repository: owner/name.
        replace: whether a model that is there may go; its history stays. Files of others in it stay.
        private: whether a new repository is private.
        message: of the commit; "" for the usual one.

    Returns: hf://owner/name@commit.
    Raises: ZooError without a card or a token that may write, for a repository that holds a model already, and where
        somebody else committed at the same time: nothing of theirs is lost, and nothing of ours is there.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    named = called(repository, None)
    if (known := card.read(source)) is None:
        raise ZooError(f"{str(source)!r} has no {CARD}; write the folder by `python -m zoo publish` or zoo.save.")
    card.verify(source, known)
    if word := offline():
        raise ZooError(f"{named} cannot be pushed to: {word} forbids the network.")
    client, paths = api(), [source / name for name in (*known["files"], README, CARD) if (source / name).is_file()]
    with answering(named):
        client.create_repo(repository, private=private, exist_ok=True)
        info = client.repo_info(repository)
        there = {each.rfilename for each in info.siblings or ()}
        if not replace and there & {CONFIG, CARD}:
            raise ZooError(f"{named} holds a model already; give another name, or --replace (its history stays).")
        old = [CommitOperationDelete(name) for name in sorted(there & set(KNOWN) - {path.name for path in paths})]
        new = [CommitOperationAdd(path.name, path) for path in paths]
        done = client.create_commit(
            repository,
            [*new, *old],
            commit_message=message or f"{known['name'] or source.name}: weights, config and card",
            parent_commit=info.sha,
        )
    return f"{named}@{done.oid}"


def _fetched(repository: str, revision: str | None, named: str) -> Path:
    from huggingface_hub import snapshot_download

    for _ in range(3):
        info = api().repo_info(repository, revision=revision, files_metadata=True)
        sizes = {each.rfilename: each.size or 0 for each in info.siblings or ()}
        small, large = chosen(sizes, named)
        found = Path(snapshot_download(repository, revision=revision, allow_patterns=small, **where()))
        if found.name != info.sha:
            continue  # somebody committed in between
        if not large and not (large := takes_pickle(found / CONFIG, sizes, named)):
            raise ZooError(f"{named} has no weights: it holds {one_line(', '.join(sorted(sizes)), 300)}.")
        _check_room(found, {name: sizes[name] for name in large}, named)
        snapshot_download(repository, revision=found.name, allow_patterns=large, **where())
        return found
    raise ZooError(f"{named} changes while it is read; try again, or give a commit: hf://owner/name@<commit>.")


def _cached(repository: str, revision: str | None, named: str) -> Path | None:
    """What the cache has, if it is whole."""
    from huggingface_hub import snapshot_download

    options = {"revision": revision, "allow_patterns": [CONFIG], "local_files_only": True, **where()}
    try:
        with answering(named):
            found = Path(snapshot_download(repository, **options))
    except NoHub:
        return None
    there = [path.name for path in found.iterdir()]
    whole = {CONFIG, ADAPTER} & set(there) and (chosen(there, named)[1] or takes_pickle(found / CONFIG, there, named))
    return found if whole else None


def _absent(named: str, why: str) -> ZooError:
    from huggingface_hub import constants

    return ZooError(
        f"{named} is not in the hub's cache {constants.HF_HUB_CACHE!r}: {why} Set HF_HOME to a cache that has it, or give the "
        "path of a folder that you have from elsewhere."
    )


def _check_room(found: Path, sizes: dict[str, int], named: str) -> None:
    needed = sum(size for name, size in sizes.items() if not (found / name).exists())
    if (free := shutil.disk_usage(found).free) < needed:
        raise ZooError(
            f"{named} needs {needed:,} bytes in {str(found)!r}, and {free:,} are free there; make room or set HF_HOME."
        )
