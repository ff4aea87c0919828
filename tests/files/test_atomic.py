"""Files and folders that appear whole or not at all."""

import errno
import os

import pytest

from eqrl.files import atomic
from eqrl.files.atomic import is_plain_file, remove_folder, sweep, whole_file, whole_folder, write_whole


@pytest.fixture
def full_disk(monkeypatch):
    def sync(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic, "sync", sync)


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    write_whole(path, "old")

    def killed():
        with whole_file(path) as aside:
            aside.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        killed()
    assert path.read_text() == "old"
    write_whole(path, b"new")
    assert path.read_text() == "new"
    assert os.listdir(path.parent) == ["a.txt"]


def test_a_full_disk_leaves_the_old_file_and_no_litter(tmp_path, request):
    write_whole(tmp_path / "a.txt", "old")
    with whole_folder(tmp_path / "folder") as aside:
        (aside / "x").write_text("old")
    request.getfixturevalue("full_disk")
    with pytest.raises(OSError, match="No space"):
        write_whole(tmp_path / "a.txt", "new")
    with pytest.raises(OSError, match="No space"), whole_folder(tmp_path / "folder") as aside:
        (aside / "x").write_text("new")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert (tmp_path / "folder" / "x").read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["a.txt", "folder"]


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "folder"
    for content in ("old", "new"):
        with whole_folder(path) as aside:
            (aside / content).write_text(content)
    assert os.listdir(path) == ["new"]
    remove_folder(path)
    assert os.listdir(tmp_path) == []
    remove_folder(path)  # nothing there is no error


def test_sweeping_takes_only_what_is_unfinished(tmp_path):
    (tmp_path / ".step_1.12.ab.tmp").mkdir()
    (tmp_path / ".latest.12.ab.tmp").write_text("x")
    (tmp_path / "step_1").mkdir()
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "kept").write_text("x")
    (tmp_path / ".link.1.ab.tmp").symlink_to(tmp_path / "target")
    sweep(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["step_1", "target"]
    assert (tmp_path / "target" / "kept").exists()


def test_links_are_not_plain_files(tmp_path):
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert is_plain_file(tmp_path / "a")
    assert not is_plain_file(tmp_path / "b")
    assert not is_plain_file(tmp_path)
    assert not is_plain_file(tmp_path / "missing")
