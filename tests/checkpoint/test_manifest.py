"""Manifests: no byte changes unnoticed, and a forged one is refused in one line."""

import dataclasses

import pytest

from eqrl.checkpoint.manifest import NAME, DamagedCheckpointError, Entry, Manifest

GOOD = Manifest(
    3,
    True,
    {"algo": "ppo", "x": [1, 2.5, None]},
    {"action": "Box"},
    {"torch": "2"},
    {"state.json": Entry(2, "ab" * 32)},
)


def read(folder, content):
    (folder / NAME).write_bytes(content)
    return Manifest.read(folder)


def test_it_comes_back(tmp_path):
    assert read(tmp_path, GOOD.text().encode()) == GOOD


def test_no_changed_byte_goes_unnoticed(tmp_path):
    content = GOOD.text().encode()
    for i in range(len(content)):
        for bit in (1, 8, 32):
            changed = bytearray(content)
            changed[i] ^= bit
            with pytest.raises(DamagedCheckpointError):
                read(tmp_path, bytes(changed))
    for changed in (
        content[:-1],
        content + b"\n",
        b"",
        b"[" * 100_000,
        b'{"step": 1}',
        content.replace(b"\n", b"\n\n", 1),
    ):
        with pytest.raises(DamagedCheckpointError):
            read(tmp_path, changed)


@pytest.mark.parametrize(
    "changes",
    [
        {"step": "3"},
        {"step": -1},
        {"step": None},
        {"complete": 1},
        {"config": []},
        {"config": None},
        {"versions": {"torch": 2}},
        {"spaces": {"action": {}}},
        {"inexact": {"a": 1}},
        {"created": 5},
        {"extra": "x"},
        {"files": {"../state.json": Entry(2, "")}},
        {"files": {"/etc/passwd": Entry(2, "")}},
        {"files": {"a/b.json": Entry(2, "")}},
        {"files": {"state.pkl": Entry(2, "")}},
        {"files": {"state.json": Entry("2", "")}},
        {"replay": {"rows..npz": Entry(2, "")}},
        {"replay": {"state.json": Entry(2, None)}},
    ],
)
def test_a_made_up_one_is_refused(tmp_path, changes):
    with pytest.raises(DamagedCheckpointError) as error:
        read(tmp_path, dataclasses.replace(GOOD, **changes).text().encode())
    assert "\n" not in str(error.value)


def test_links_and_other_lengths_are_refused(tmp_path):
    file = tmp_path / "state.json"
    file.write_text("{}")
    manifest = dataclasses.replace(GOOD, files={"state.json": Entry.of(file)})
    manifest.check(tmp_path)
    assert manifest.content(tmp_path, "state.json") == b"{}"
    for name, change in (("longer", "{}{}"), ("other", "[]")):
        file.write_text(change)
        with pytest.raises(DamagedCheckpointError, match="written"):
            manifest.check(tmp_path)
        with pytest.raises(DamagedCheckpointError, match="written"):
            manifest.content(tmp_path, "state.json")
        assert name
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").write_text("{}")
    with pytest.raises(DamagedCheckpointError):
        manifest.check(tmp_path)
    with pytest.raises(DamagedCheckpointError, match="has no policy"):
        manifest.content(tmp_path, "policy.safetensors")
