"""Upload a run folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eqrl.hub.access import hub
from eqrl.hub.card import card
from eqrl.hub.contents import CARD, belongs, files_to_push
from eqrl.runs.folder import RunFolder


@dataclass(frozen=True)
class Pushed:
    """An upload.

    Attributes:
        url: address of the repository.
        files: uploaded files, by their path in the repository, with their sizes in bytes.
    """

    url: str
    files: dict[str, int]


def push(
    run: str | Path,
    repo: str,
    *,
    replay: bool = False,
    private: bool = False,
    endpoint: str | None = None,
    message: str | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Pushed:
    """Upload a run as one commit: newest and best checkpoint, curves, results, and a model card.

    Files of an earlier upload of the run that are no longer part of it are deleted in the same commit.

    Args:
        run: the run folder.
        repo: the repository, ``owner/name``; it is made if it does not exist.
        replay: with the replay buffer.
        private: make the repository a private one, if it is made.
        endpoint: address of the hub.
        message: of the commit.
        say: told what is about to be uploaded.

    Raises:
        UsageError: if it is not a run folder or damaged, or the hub refuses.
    """
    folder = RunFolder.open(run)
    files = files_to_push(folder, replay)
    checkpoint, manifest = folder.checkpoint("last")
    config = folder.stored_config(checkpoint, manifest)
    text = card(repo, config, manifest.versions, folder.result_file).encode()
    sizes = {CARD: len(text), **{name: path.stat().st_size for name, path in files.items()}}
    with hub(repo, endpoint) as api:
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        say(f"push     {len(sizes)} files, {sum(sizes.values()) / 2**20:,.1f} MiB")
        url = str(api.create_repo(repo, private=private, exist_ok=True))
        there = [name for name in api.list_repo_files(repo) if belongs(name)]
        content: dict[str, bytes | str] = {CARD: text, **{name: str(path) for name, path in files.items()}}
        changes: list[Any] = [CommitOperationAdd(name, source) for name, source in content.items()]
        changes += [CommitOperationDelete(name) for name in there if name not in sizes]
        usual = f"{config.algo} on {config.env}, {manifest.step:,} steps"
        api.create_commit(repo, changes, commit_message=message or usual)
    return Pushed(url, sizes)
