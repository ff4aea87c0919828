"""Download a run folder, and move it in place once it is known to be one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from eqrl.errors import UsageError
from eqrl.files.atomic import is_plain_file, whole_folder
from eqrl.hub.access import hub
from eqrl.hub.contents import belongs, check_download
from eqrl.loading import load
from eqrl.runs.config import Config
from eqrl.runs.folder import RunFolder


@dataclass(frozen=True)
class Pulled:
    """A download.

    Attributes:
        path: the run folder.
        config: the run's configuration.
        revision: the commit that was downloaded.
        left_out: files of the repository that belong to no run folder, and were not downloaded.
        resumable: whether a training can go on with it.
    """

    path: Path
    config: Config
    revision: str
    left_out: tuple[str, ...]
    resumable: bool


def pull(
    repo: str,
    to: str | Path | None = None,
    *,
    revision: str | None = None,
    endpoint: str | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Pulled:
    """Download a run. Nothing in it is executed: the files are numbers and options, read by eqrl's own loader.

    The files are downloaded to a hidden folder beside their target, compared with the manifests of the checkpoints,
    and loaded. Only then is the folder renamed to its target.

    Args:
        repo: the repository, ``owner/name``.
        to: the run folder, which must not exist; by default the name of the repository.
        revision: a branch, tag or commit.
        endpoint: address of the hub.
        say: told what is about to be downloaded.

    Raises:
        UsageError: if the folder exists, the hub refuses, or it is no run or a damaged one. The package of a
            third-party environment must have been imported before.
    """
    target = Path(to or repo.split("/")[-1])
    if target.exists() or target.is_symlink():
        raise UsageError(f"{target} exists already; give another folder with --to")
    try:
        with whole_folder(target) as aside:
            commit, names, left_out = _download(repo, revision, endpoint, aside, say)
            try:
                config, resumable = _checked(aside, names)
            except UsageError as error:
                # the hidden folder is gone when the user reads this
                raise UsageError(f"{repo} is not pulled: {str(error).replace(str(aside), repo)}") from None
    except OSError as error:
        raise UsageError(f"{target} cannot be written ({error.strerror or error})") from None
    return Pulled(target, config, commit, left_out, resumable)


def _download(
    repo: str, revision: str | None, endpoint: str | None, folder: Path, say: Callable[[str], None]
) -> tuple[str, list[str], tuple[str, ...]]:
    with hub(repo, endpoint) as api:
        info = api.model_info(repo, revision=revision, files_metadata=True)
        files = {file.rfilename: file.size or 0 for file in info.siblings or ()}
        names = [name for name in files if belongs(name)]
        if not any(name.startswith("checkpoints/") for name in names):
            raise UsageError(f"{repo} is not a run of eqrl: it has no checkpoints")
        say(f"pull     {len(names)} files, {sum(files[name] for name in names) / 2**20:,.1f} MiB")
        for name in names:  # of one commit, even if somebody uploads in the meantime
            api.hf_hub_download(repo, name, revision=info.sha, local_dir=folder)
        shutil.rmtree(folder / ".cache", ignore_errors=True)  # huggingface_hub's notes on the download
    return info.sha, names, tuple(sorted(set(files) - set(names)))


def _checked(folder: Path, names: list[str]) -> tuple[Config, bool]:
    """Check a downloaded run as if an enemy had uploaded it.

    Raises:
        UsageError: if it is not what ``eqrl push`` uploads.
    """
    there = {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()
    }
    if there != set(names) or not all(is_plain_file(folder / name) for name in names):
        raise UsageError("the files are not those that the hub listed")
    run = RunFolder.open(folder)
    resumable = check_download(run)
    _, config = load(folder, device="cpu")
    return config, resumable
