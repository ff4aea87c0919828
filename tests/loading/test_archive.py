"""Zip files of Stable-Baselines3.

The same model comes back, hostile and broken files are refused in one line, nothing is run.
"""

import base64
import io
import json
import pickle
import random
import re
import stat
import struct
import tracemalloc
import warnings
import zipfile

import cloudpickle
import numpy as np
import pytest
import torch
import typed_env
import yaml
from stable_baselines3 import A2C, PPO

import eqrl
from eqrl.commands import main
from eqrl.errors import UsageError
from eqrl.evaluate import evaluate
from eqrl.files.plain_files import LARGEST_FILE
from eqrl.files.tensor_file import StoredTensor, TensorFileError, read_tensor_file
from eqrl.runs.config import Config, read_config_file
from eqrl.runs.environments import make_env
from eqrl.runs.models import make_model
from eqrl.runs.resolution import resolve
from eqrl.train import train

typed_env.register()
NETWORKS = ["frame", "regular", "MlpPolicy"]
X = np.random.default_rng(0).standard_normal((16, 2)).astype(np.float32)


def configured(algo="ppo", network="MlpPolicy", **options):
    small = (
        {"n_steps": 32, "batch_size": 32}
        if algo == "ppo"
        else {"learning_starts": 8, "batch_size": 8, "buffer_size": 100}
    )
    hidden = {"net_arch": [8]} if network == "MlpPolicy" else {"network_kwargs": {"hidden": [8]}}
    values = {
        "env": "tests/Point-v0",
        "policy_kwargs": hidden,
        "hyperparams": {**small, **options.pop("hyperparams", {})},
    }
    return Config(**{"algo": algo, "network": network, "n_envs": 2, "seed": 3, "device": "cpu", **values, **options})


def trained(config, steps=64):
    config = resolve(config)
    model = make_model(config, make_env(config, 2, 0))
    model.learn(steps)
    return model


@pytest.fixture(scope="module")
def ppo(tmp_path_factory):
    """A small trained model, its archive and its configuration."""
    path = tmp_path_factory.mktemp("archive") / "ppo.zip"
    model = trained(configured())
    model.save(path)
    return model, path, configured()


@pytest.fixture(scope="module")
def sac(tmp_path_factory):
    path = tmp_path_factory.mktemp("archive") / "sac.zip"
    model = trained(configured("sac"))
    model.save(path)
    return model, path, configured("sac")


@pytest.fixture
def canary(tmp_path):
    """A file that is made if anything hostile is run; the object that makes it when it is unpickled."""
    path = tmp_path / "canary"

    class Evil:
        def __reduce__(self):
            return (open, (str(path), "w"))

    yield Evil()
    assert not path.exists()


def leaves(value):
    """Everything in nested dicts and lists, keys included."""
    if isinstance(value, dict):
        return [leaf for key, entry in value.items() for leaf in (key, *leaves(entry))]
    if isinstance(value, (list, tuple)):
        return [leaf for entry in value for leaf in leaves(entry)]
    return [value]


def state(model):
    variables = {name: getattr(model, name).detach() for name in model._get_torch_save_params()[1]}
    counters = [model.num_timesteps, model._n_updates, model._episode_num, model._current_progress_remaining]
    return leaves([model.get_parameters(), variables, counters])


def same(one, other):
    a, b = state(one), state(other)
    return len(a) == len(b) and all(
        torch.equal(p, q) and p.dtype == q.dtype if isinstance(p, torch.Tensor) else p == q
        for p, q in zip(a, b, strict=True)
    )


def refused(path, config, words="", **options):
    with pytest.raises(UsageError) as error:
        eqrl.load(path, config=config, **options)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000
    assert str(path) in str(error.value)
    assert words in str(error.value)


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewritten(source, target, changes=(), compression=zipfile.ZIP_STORED):
    """A copy of an archive with some members replaced, added, or left out (None)."""
    with zipfile.ZipFile(target, "w", compression) as archive:
        for name, content in {**members(source), **dict(changes)}.items():
            if content is not None:
                archive.writestr(name, content)
    return target


def saved(value, **options):
    stream = io.BytesIO()
    torch.save(value, stream, **options)
    return stream.getvalue()


def weights(content):
    return torch.load(io.BytesIO(content), weights_only=True)


# ---------------------------------------------------------------------- the same model comes back
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("algo", ["ppo", "sac", "td3"])
def test_round_trip(tmp_path, algo, network):
    config = configured(algo, network)
    model = trained(config)
    model.save(tmp_path / "model.zip")
    again, resolved = eqrl.load(tmp_path / "model.zip", config=config)
    assert resolved == resolve(config)
    assert again.num_timesteps == 64
    assert same(model, again)
    for deterministic in (True, False):
        actions = []
        for each in (model, again):
            torch.manual_seed(0)
            actions.append(each.predict(X, deterministic=deterministic)[0])
        assert np.array_equal(*actions)
    again.learn(64, reset_num_timesteps=False)
    assert again.num_timesteps == 128


@pytest.mark.parametrize("hyperparams", [{"ent_coef": 0.1}, {"ent_coef": "auto_0.3"}])
def test_coefficients_of_sac(tmp_path, hyperparams):
    config = configured("sac", hyperparams=hyperparams)
    model = trained(config)
    model.save(tmp_path / "model.zip")
    assert same(model, eqrl.load(tmp_path / "model.zip", config=config)[0])
    other = configured("sac", hyperparams={"ent_coef": "auto" if hyperparams["ent_coef"] == 0.1 else 0.1})
    refused(tmp_path / "model.zip", other, "ent_coef_optimizer.pth")


def test_the_optimiser_goes_on_with_the_very_tensor(sac):
    again, _ = eqrl.load(sac[1], config=sac[2])
    assert again.ent_coef_optimizer.param_groups[0]["params"][0] is again.log_ent_coef
    assert again.log_ent_coef.requires_grad
    assert again.actor.optimizer.param_groups[0]["params"][0] is next(again.actor.parameters())


def test_configuration_from_a_file_and_repacked_archives(tmp_path, ppo):
    model, path, config = ppo
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump({k: v for k, v in config.to_dict().items() if v is not None}))
    assert same(model, eqrl.load(str(path), config=str(file))[0])
    packed = rewritten(path, tmp_path / "packed.zip", compression=zipfile.ZIP_DEFLATED)
    assert same(model, eqrl.load(packed, config=config)[0])
    untitled = rewritten(path, tmp_path / "old.zip", {"system_info.txt": None, "_stable_baselines3_version": None})
    assert same(model, eqrl.load(untitled, config=config)[0])


def test_trusted_runs_the_file_and_only_trusted(tmp_path, ppo):
    model, path, config = ppo
    again, resolved = eqrl.load(path, trusted=True)
    assert resolved is None
    assert same(model, again)
    again, resolved = eqrl.load(path, config=config, trusted=True)
    assert resolved == resolve(config)
    assert again.get_env() is not None
    # the canary of these tests is alive: this is what a hostile archive does where it is trusted
    made = tmp_path / "made"
    hostile = rewritten(path, tmp_path / "hostile.zip", {"data": poisoned(path, Touch(made))})
    refused(hostile, None, "trusted=True")
    assert same(model, eqrl.load(hostile, config=config)[0])
    assert not made.exists()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an open file that nobody closes
        with pytest.raises(UsageError, match="cannot be loaded by Stable-Baselines3"):
            eqrl.load(hostile, trusted=True)
    assert made.exists()


class Touch:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


# ---------------------------------------------------------------------- what does not fit
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"algo": "sac"}, "it was written by ppo, and the configuration says algo: sac"),
        ({"policy_kwargs": {"net_arch": [9]}}, "(8, 2) float32, that of the configured model (9, 2) float32"),
        ({"policy_kwargs": {"net_arch": [8, 8]}}, "which the configured model has"),
        ({"network": "frame", "policy_kwargs": {}}, "which the configured model has"),
        (
            {"policy_kwargs": {"net_arch": [8], "optimizer_kwargs": {"weight_decay": 0.5, "eps": 1e-5}}},
            "'weight_decay'",
        ),
        ({"env_kwargs": {"cube": True}}, "its actions have another bound (low)"),
    ],
)
def test_another_configuration(ppo, options, words):
    config = configured(**options) if "algo" in options else ppo[2].replace(**options)
    refused(ppo[1], config, words)


def test_other_algorithms(tmp_path):
    path = tmp_path / "a2c.zip"
    A2C("MlpPolicy", "Pendulum-v1").save(path)
    refused(path, configured(), "another algorithm than ppo, sac, td3")
    with pytest.raises(UsageError, match="load it with the class"):
        eqrl.load(path, trusted=True)


def test_other_files(tmp_path, canary, ppo):
    config = ppo[2]
    for name, content, words in (
        ("model.pkl", pickle.dumps(canary), "pickle"),
        ("model.pth", saved({"policy": canary}), "pickle"),
        ("model.pt", saved({"policy": canary}), "pickle"),
        ("model", pickle.dumps(canary), "pickle"),
        ("model.npz", b"PK\x03\x04", "pickle"),
        ("last.safetensors", b"\x10", "run folder"),
        ("run.yaml", b"algo: ppo", "eqrl train --config"),
        ("policy.onnx", b"\x08", "onnxruntime"),
        ("model.zip", pickle.dumps(canary), "pickle"),
        ("model.zip", b"", "no zip archive"),
        ("model.zip", b"PK", "no zip archive"),
        ("model.zip", saved({"policy": canary}), "'data'"),
        ("notes.txt", b"hello", "no zip archive"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        refused(path, config, words)
        with pytest.raises(UsageError):
            eqrl.load(path)
    refused(tmp_path / "none.zip", config, "does not exist")
    refused(tmp_path, config, "leave 'config' out")
    refused(tmp_path, None, "leave 'trusted' out", trusted=True)
    refused(ppo[1], config, "checkpoint 'best'", checkpoint="best")
    refused(ppo[1], None, "--config run.yaml")


# ---------------------------------------------------------------------- hostile archives
def poisoned(path, evil):
    """The plain values of an archive, with every one of them that is not compared replaced by a pickle that runs."""
    values = json.loads(members(path)["data"])
    entry = {":type:": "<class 'dict'>", ":serialized:": base64.b64encode(cloudpickle.dumps(evil)).decode()}
    compared = {"num_timesteps", "_n_updates", "_episode_num", "_current_progress_remaining"}
    return json.dumps({name: value if name in compared else entry for name, value in values.items()} | {"evil": entry})


def test_pickles_in_the_data_are_not_touched(tmp_path, canary, ppo, sac):
    for model, path, config in (ppo, sac):
        hostile = rewritten(path, tmp_path / "hostile.zip", {"data": poisoned(path, canary)})
        assert same(model, eqrl.load(hostile, config=config)[0])
        values = json.loads(members(path)["data"])
        entry = json.loads(poisoned(path, canary))["evil"]
        for name in ("num_timesteps", "_n_updates", "_episode_num", "_current_progress_remaining"):
            refused(rewritten(path, hostile, {"data": json.dumps({**values, name: entry})}), config, name)


@pytest.mark.parametrize(
    "value", [True, -1, 1.5, "64", None, [], {}, 2**63, 10**400, float("nan"), float("inf")], ids=lambda v: str(v)[:8]
)
@pytest.mark.parametrize("name", ["num_timesteps", "_n_updates", "_episode_num"])
def test_counters_are_counters(tmp_path, ppo, name, value):
    values = {**json.loads(members(ppo[1])["data"]), name: value}
    refused(rewritten(ppo[1], tmp_path / "model.zip", {"data": json.dumps(values)}), ppo[2], name)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"3",
        b"{",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"\xff\xfe",
        b'{"n_epochs": 1}',
        b"1" * 10_000,
        b"null",
    ],
    ids=range(10),
)
def test_broken_data(tmp_path, ppo, data):
    refused(rewritten(ppo[1], tmp_path / "model.zip", {"data": data}), ppo[2])
    with pytest.raises(UsageError):
        eqrl.load(tmp_path / "model.zip", trusted=True)


def test_pickles_in_place_of_tensors(tmp_path, canary, ppo, sac):
    count = 0
    for _, path, config in (ppo, sac):
        for name, content in members(path).items():
            if not name.endswith(".pth"):
                continue
            plain = weights(content)
            if not plain:
                continue  # PPO has no variables
            for bad in (
                pickle.dumps(canary),
                cloudpickle.dumps(canary),
                saved(canary),
                saved({**plain, "evil": canary}),
                saved(dict.fromkeys(plain, canary)),
                saved(canary, _use_new_zipfile_serialization=False),
                content[: len(content) // 2],
                b"",
                saved([]),
                saved(None),
                members(path)["data"],
            ):
                refused(rewritten(path, tmp_path / "hostile.zip", {name: bad}), config, name)
                count += 1
    assert count == 7 * 11  # two members of PPO's archive, five of SAC's


def test_tensors_that_do_not_fit(tmp_path, ppo):
    _, path, config = ppo
    plain = weights(members(path)["policy.pth"])
    name, tensor = next((name, tensor) for name, tensor in plain.items() if tensor.ndim == 2)
    huge = torch.zeros(1).expand(10**6, 10**6)
    for changes, words in (
        ({name: tensor.double()}, "float64"),
        ({name: tensor.half()}, "float16"),
        ({name: tensor.long()}, "int64"),
        ({name: tensor.T.contiguous()}, "(2, 8)"),
        ({name: tensor.flatten()}, "(16,)"),
        ({name: tensor[:1].squeeze()}, "(2,)"),
        ({name: huge}, "(1000000, 1000000)"),
        ({name: torch.empty(0, 2)}, "(0, 2)"),
        ({name: tensor * float("nan")}, "not finite"),
        ({name: 3}, "is no tensor"),
        ({name: {}}, "is no tensor"),
        ({"extra": tensor}, "'extra'"),
        ({"x" * 10_000: tensor}, "which the configured model has not"),
        ({7: tensor}, "'7'"),
    ):
        refused(rewritten(path, tmp_path / "model.zip", {"policy.pth": saved({**plain, **changes})}), config, words)
    less = {key: value for key, value in plain.items() if key != name}
    refused(rewritten(path, tmp_path / "model.zip", {"policy.pth": saved(less)}), config, repr(name))
    # another layout in memory is the same tensor
    turned = {**plain, name: tensor.T.contiguous().T}
    assert same(
        ppo[0], eqrl.load(rewritten(path, tmp_path / "model.zip", {"policy.pth": saved(turned)}), config=config)[0]
    )


def test_optimisers_that_do_not_fit(tmp_path, ppo):
    _, path, config = ppo
    name = "policy.optimizer.pth"

    def with_change(change):
        plain = weights(members(path)[name])
        change(plain)
        return rewritten(path, tmp_path / "model.zip", {name: saved(plain)})

    group, slots = (lambda p: p["param_groups"][0]), (lambda p: p["state"][0])
    changes = [
        lambda p: p.pop("state"),
        lambda p: p.update(evil=1),
        lambda p: p.update(state=[]),
        lambda p: p.update(state={99: slots(p)}),
        lambda p: p.update(state={"0": slots(p)}),
        lambda p: p.update(state={0: 1}),
        lambda p: p.update(param_groups={}),
        lambda p: p.update(param_groups=[]),
        lambda p: p.update(param_groups=[1]),
        lambda p: p["param_groups"].append(group(p)),
        lambda p: group(p).update(lr=float("nan")),
        lambda p: group(p).update(lr=-1.0),
        lambda p: group(p).update(lr=10**600),
        lambda p: group(p).update(eps=10**600),
        lambda p: slots(p).update(step=10**600),
        lambda p: group(p).update(lr="1"),
        lambda p: group(p).update(lr=torch.ones(10)),
        lambda p: group(p).update(betas=(0.1, 0.2)),
        lambda p: group(p).update(betas=7),
        lambda p: group(p).update(capturable=True),
        lambda p: group(p).update(maximize=True),
        lambda p: group(p).update(foreach=torch.ones(2)),
        lambda p: group(p).update(params=[0]),
        lambda p: group(p).update(params=list(reversed(group(p)["params"]))),
        lambda p: slots(p).pop("exp_avg"),
        lambda p: slots(p).update(max_exp_avg_sq=slots(p)["exp_avg"]),
        lambda p: slots(p).update(exp_avg=slots(p)["exp_avg"].double()),
        lambda p: slots(p).update(exp_avg=torch.zeros(3)),
        lambda p: slots(p).update(step=torch.tensor(-1.0)),
        lambda p: slots(p).update(step=torch.tensor(float("inf"))),
        lambda p: slots(p).update(step="1"),
        lambda p: slots(p).update(step=None),
    ]
    for change in changes:
        refused(with_change(change), config, name)
    # the schedule sets the rate again; options that other versions of PyTorch have do nothing
    loaded, _ = eqrl.load(with_change(lambda p: group(p).update(lr=1.0, of_the_future=True)), config=config)
    assert loaded.policy.optimizer.param_groups[0]["lr"] == 1.0


def test_members(tmp_path, canary, ppo):
    _, path, config = ppo
    good = members(path)
    evil = pickle.dumps(canary)
    for name in (
        *(
            "../../canary",
            "/tmp/canary",
            "..\\canary",
            "C:\\canary",
            "data/",
            "./data",
            "policy.pth/../data",
            "canary.pth",
            "actor.pth",
        ),
        *("tensors.pth", "ü", "x" * 60_000, "inner.zip"),
    ):
        refused(rewritten(path, tmp_path / "hostile.zip", {name: evil}), config)
    hostile = rewritten(path, tmp_path / "hostile.zip", {"policy.pth": None, "policy.pth!": good["policy.pth"]})
    hostile.write_bytes(hostile.read_bytes().replace(b"policy.pth!", b"policy.pth\0"))  # Python cuts the name there
    refused(hostile, config, "policy.pth\\x00")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["hostile.zip"]
    for name in good:
        with zipfile.ZipFile(tmp_path / "twice.zip", "w") as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for each, content in [*good.items(), (name, good[name])]:
                archive.writestr(each, content)
        refused(tmp_path / "twice.zip", config, "twice")
        needed = name in ("data", "policy.pth", "policy.optimizer.pth")
        less = rewritten(path, tmp_path / "less.zip", {name: None})
        if needed:
            refused(less, config, name)
        else:
            assert same(ppo[0], eqrl.load(less, config=config)[0])


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFDIR, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_links_and_other_things_that_are_no_files(tmp_path, ppo, kind):
    _, path, config = ppo
    for name in members(path):
        with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
            for each, content in members(path).items():
                info = zipfile.ZipInfo(each)
                if each == name:
                    info.external_attr = (kind | 0o777) << 16
                archive.writestr(info, b"/etc/passwd" if each == name != "data" else content)
        refused(tmp_path / "model.zip", config, "no file")


def test_encrypted_and_oddly_compressed(tmp_path, ppo):
    _, path, config = ppo
    for compression in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        refused(rewritten(path, tmp_path / "model.zip", compression=compression), config, "compressed in a way")
    content = bytearray(path.read_bytes())
    start = content.index(b"PK\x01\x02")
    while start >= 0:  # the flag "encrypted" of every member, in the table of contents
        content[start + 8] |= 1
        start = content.find(b"PK\x01\x02", start + 4)
    (tmp_path / "model.zip").write_bytes(content)
    refused(tmp_path / "model.zip", config)


def test_bombs_take_no_memory(tmp_path, ppo):
    _, path, config = ppo
    eqrl.load(path, config=config)  # imports and caches
    zeros = bytes(2**26)
    inner = saved({"policy": 1})
    with zipfile.ZipFile(io.BytesIO(inner)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**parts, "archive/data/0": zeros}.items():
            archive.writestr(name, content)
    bombs = [
        rewritten(path, tmp_path / f"{i}.zip", {name: zeros}, zipfile.ZIP_DEFLATED)
        for i, name in enumerate(members(path))
    ]
    bombs.append(rewritten(path, tmp_path / "nested.zip", {"policy.pth": packed.getvalue()}, zipfile.ZIP_DEFLATED))
    # says that it is small
    liar = bombs[2].read_bytes().replace(struct.pack("<I", len(zeros)), struct.pack("<I", 1000))
    assert liar != bombs[2].read_bytes()
    (tmp_path / "liar.zip").write_bytes(liar)
    many = tmp_path / "many.zip"
    with zipfile.ZipFile(many, "w") as archive:
        for i in range(70_000):
            archive.writestr(f"{i}.pth", b"")
    del zeros, packed
    assert len(bombs) == len(members(path)) + 1
    for bomb in (*bombs, tmp_path / "liar.zip", many):
        tracemalloc.start()
        refused(bomb, config)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2**25, bomb


def instructed(content, change):
    """A file of tensors whose instructions are changed, as if PyTorch had written it so."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(stream, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            target.writestr(name, change(data) if name.endswith("/data.pkl") else data)
    return stream.getvalue()


def test_instructions_that_lie():
    tensor = torch.arange(4.0)
    good = saved({"w": tensor})
    assert torch.equal(read_tensor_file(good)["w"].read(), tensor)
    for old, new, words in (
        (b"K\x04tq\x07Q", b"M\xa0\x0ftq\x07Q", "claims 4000 numbers"),  # more numbers than there are
        (b"K\x04tq\x07Q", b"K\x03tq\x07Q", "claims 3 numbers"),
        (b"K\x04tq\x07Q", b"J\xff\xff\xff\xfftq\x07Q", "claims"),
        (b"QK\x00K\x04", b"QK\x01K\x04", "beyond"),  # begins too late
        (b"QK\x00K\x04", b"QK\x00M\x00\x10", "beyond"),  # is too long
        (b"QK\x00K\x04", b"QJ\xff\xff\xff\xffK\x04", "unknown kind"),
        (b"K\x04tq\x07Q", b"\x8a\xff" + b"\x7f" * 255 + b"tq\x07Q", "claims more numbers where 16 bytes are"),
        (b"FloatStorage", b"DoubleStorage", "claims 4 numbers"),
        (b"ctorch._utils\n_rebuild_tensor_v2", b"cposix\nsystem", "asks for 'posix.system'"),
        (b"ctorch._utils\n_rebuild_tensor_v2", b"cbuiltins\nbytearray", "asks for 'builtins.bytearray'"),
        (b"ccollections\nOrderedDict", b"ccollections\nCounter", "asks for"),
        (b"X\x01\x00\x00\x000", b"X\x01\x00\x00\x001", "data/1"),
    ):
        changed = instructed(good, lambda data, old=old, new=new: data.replace(old, new))
        assert changed != good
        with pytest.raises(TensorFileError, match=re.escape(words)):
            read_tensor_file(changed)
    for instructions in (
        b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
        b"\x80\x02(ios\nsystem\n.",
        b"\x80\x02]" * 10,
        b"\x80\x02)" + b"\x85" * 500_000 + b"}q\x00h\x00K\x01s.",
        b"\x80\x02}N" + b"\x85" * 200_000 + b"K\x01s.",
        b"\x80\x02}" * (2**20),
        b"\x80\x02R.",
        b"\x80\x02Q.",
        b"\x80\x02(K\x01K\x01K\x01K\x01K\x01tQ.",
        b"\x80\x02h\x05.",
        b"\x80\x02t.",
        b"\x80\x02.",
        b"",
        b"}",
    ):
        with pytest.raises(TensorFileError) as error:
            read_tensor_file(instructed(good, lambda _, new=instructions: new))
        assert len(str(error.value)) < 500
    # odd, but plain values: nothing is compared with them but keys and tensors
    for instructions, kind in (
        (b"(" * 100_000 + b"t" * 100_000 + b".", tuple),
        (b"\x8a\xff" + b"\xff" * 255 + b".x", int),
    ):
        assert type(read_tensor_file(instructed(good, lambda _, new=instructions: b"\x80\x02" + new))) is kind


def test_files_of_tensors_are_read_as_pytorch_reads_them():
    base = torch.arange(24.0).reshape(4, 6)
    values = {
        "views": [base, base[1:3, ::2], base.T, base[0].expand(3, 6), torch.tensor(2.5), torch.empty(0, 3)],
        "types": [
            torch.ones(3, dtype=t)
            for t in (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool, torch.uint8)
        ],
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "plain": {"a": 1, "b": [1.5, True, None, "text", (1, 2, 3, 4), 2**40, -7], 3: ()},
        "module": torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3)).state_dict(),
        "many": {f"{i}": torch.full((i % 5,), float(i)) for i in range(300)},
    }
    content = saved(values)
    ours = [leaf.read() if isinstance(leaf, StoredTensor) else leaf for leaf in leaves(read_tensor_file(content))]
    theirs = leaves(weights(content))
    assert len(ours) == len(theirs) > 300
    for a, b in zip(ours, theirs, strict=True):
        if isinstance(b, torch.Tensor):
            assert torch.equal(a, b.detach())
            assert a.dtype == b.dtype
        else:
            assert a == b
            assert type(a) is type(b)


# ---------------------------------------------------------------------- damage
def outcome(model, path, config):
    """The outcome of loading a damaged file: the same values, or an error in one line."""
    try:
        loaded, _ = eqrl.load(path, config=config)
    except UsageError as error:
        assert "\n" not in str(error)  # noqa: PT017
        return "refused"
    assert same(model, loaded)
    return "same"


def test_cut_off_anywhere(tmp_path, ppo):
    model, path, config = ppo
    content, cut = path.read_bytes(), tmp_path / "cut.zip"
    lengths = {*range(0, len(content), len(content) // 80), *range(len(content) - 40, len(content))}
    for length in sorted(lengths):
        cut.write_bytes(content[:length])
        assert outcome(model, cut, config) == "refused", length
    assert len(lengths) > 100


def test_flipped_bits(tmp_path, ppo):
    model, path, config = ppo
    content, draw, flipped = path.read_bytes(), random.Random(0), tmp_path / "flipped.zip"
    counts = {"refused": 0, "same": 0}
    table = content.index(b"PK\x01\x02")
    # anywhere, and again in the table of contents and the headers, which are a small part of the file
    places = [draw.randrange(len(content)) for _ in range(200)] + [
        draw.randrange(table, len(content)) for _ in range(150)
    ]
    starts = [i for i in range(len(content) - 4) if content[i : i + 4] == b"PK\x03\x04"]
    places += [draw.choice(starts) + draw.randrange(30) for _ in range(150)]
    for position in places:
        damaged = bytearray(content)
        damaged[position] ^= 1 << draw.randrange(8)
        flipped.write_bytes(damaged)
        counts[outcome(model, flipped, config)] += 1
    assert counts["refused"] > 250
    assert sum(counts.values()) == 500


def test_flipped_bits_inside_the_members(tmp_path, ppo):
    """With checksums that are right again: whatever is loaded then is finite and has the shapes of the model."""
    model, path, config = ppo
    draw, good, loaded = random.Random(1), members(path), 0
    shapes = [leaf.shape for leaf in leaves(model.get_parameters()) if isinstance(leaf, torch.Tensor)]
    for turn in range(200):
        name = draw.choice(["data", "policy.pth", "policy.optimizer.pth", "pytorch_variables.pth"])
        damaged = bytearray(good[name])
        damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
        try:
            again, _ = eqrl.load(rewritten(path, tmp_path / "model.zip", {name: bytes(damaged)}), config=config)
        except UsageError as error:
            assert "\n" not in str(error), turn  # noqa: PT017
            continue
        loaded += 1
        tensors = [leaf for leaf in leaves(again.get_parameters()) if isinstance(leaf, torch.Tensor)]
        assert [t.shape for t in tensors] == shapes
        assert all(bool(torch.isfinite(t).all()) for t in tensors)
    assert 0 < loaded < 200  # names in pickled text are not read


def test_a_refused_archive_leaves_no_half_model(tmp_path, sac, monkeypatch):
    """Everything is read and checked before the first number enters the model."""
    _, path, config = sac
    calls = []
    monkeypatch.setattr("stable_baselines3.SAC.set_parameters", lambda *args, **kwargs: calls.append(args))
    for name in members(path):
        if name.endswith(".pth"):
            refused(rewritten(path, tmp_path / "model.zip", {name: saved({})}), config, name)
    assert not calls


# ---------------------------------------------------------------------- configurations
def laughs(inner, start="a: &a [1,1,1,1,1,1,1,1,1]\n"):
    """The "billion laughs": every line holds the one before nine times."""
    return start + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} {inner.format(','.join(['*' + chr(97 + i)] * 9))}\n" for i in range(12)
    )


HOSTILE = {
    "tag.yaml": "env: !!python/object/apply:builtins.open ['{canary}', 'w']",
    "new.yaml": "env: !!python/object/new:builtins.open ['{canary}', 'w']",
    "name.yaml": "env: !!python/name:os.system",
    "module.yaml": "env: !!python/module:antigravity",
    "laughs.yaml": laughs("[{}]"),
    "tables.yaml": laughs("{{x: [{}]}}"),
    "merged.yaml": laughs("{{<<: [{}]}}", "a: &a {k: v}\n"),
    "keyed.yaml": "augment: '" + laughs("[{}]").replace("\n", " ") + "'",
    "text.yaml": (
        'augment: "[&a [1,1,1,1], '
        + ", ".join(f"&a{i} [{', '.join(['*a' + (str(i - 1) if i else '')] * 9)}]" for i in range(12))
        + ']"'
    ),
    "itself.yaml": "env_kwargs: &a {a: *a}",
    "deep.yaml": "env_kwargs: " + "[" * 50_000,
    "deep.json": '{"env_kwargs": ' + "[" * 50_000 + "]" * 50_000 + "}",
    "deep_tables.json": '{"a":' * 20_000 + "1" + "}" * 20_000,
    "rather_deep.json": '{"env_kwargs": {"a": ' + "[" * 300 + "]" * 300 + "}}",
    "deep.toml": "env_kwargs = " + "[" * 20_000 + "]" * 20_000,
    "dotted.toml": ".".join("a" * 20_000) + " = 1",
    "large.yaml": "env: a\n" + "#" * LARGEST_FILE,
    "large.json": '{"env": "' + "a" * LARGEST_FILE + '"}',
    "long.yaml": "env: " + "a" * 10_000,
    "digits.json": '{"n_timesteps": 1' + "0" * 5000 + "}",
    "digits.toml": "n_timesteps = 0x" + "f" * 50_000,
    "number.json": '{"n_timesteps": 1' + "0" * 400 + "}",
    "sixty.yaml": "n_timesteps: " + "59:" * 20_000 + "1",
    "integer.yaml": "n_timesteps: !!int ''",
    "flag.yaml": "augment: !!bool x",
    "time.yaml": "env: !!timestamp x",
    "binary.yaml": "env: !!binary x",
    "brackets.yaml": "augment: '" + "(" * 1900 + "'",
    "unhashable.yaml": "augment: '{[]: 1}'",
    "unhashable_key.yaml": "? {a: b}\n: c",
    "zero.yaml": "env: \x00",
    "half.json": '{"env": "\\ud800"',
    "nan.json": '{"n_timesteps": NaN}',
    "infinite.json": '{"mirror_loss": 1e999}',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_configurations(tmp_path, monkeypatch, capsys, name):
    canary, path = tmp_path / "canary", tmp_path / name
    path.write_text(HOSTILE[name].replace("{canary}", str(canary)), encoding="utf-8")
    tracemalloc.start()
    with pytest.raises(UsageError) as error:
        Config.from_dict(read_config_file(path), str(path))
    assert tracemalloc.get_traced_memory()[1] < 2**26
    tracemalloc.stop()
    assert "\n" not in str(error.value)
    assert main(["train", "--config", str(path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not canary.exists()


def test_configurations_in_other_encodings(tmp_path):
    for name in ("c.yaml", "c.toml", "c.json"):
        for content in (b"\xff\xfe\x00a", b"env: \xe9", bytes(range(256)), "env: ü".encode("utf-16"), b"\x80\x02."):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(UsageError, match="is not valid"):
                read_config_file(tmp_path / name)
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(UsageError, match="is not a file"):
        read_config_file(tmp_path / "folder.yaml")


def test_aliases_are_allowed_in_moderation(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("env_kwargs: &same {a: [1, 2]}\neval_env_kwargs:\n  <<: *same\n  b: 3\n")
    assert read_config_file(path) == {"env_kwargs": {"a": [1, 2]}, "eval_env_kwargs": {"a": [1, 2], "b": 3}}


# ---------------------------------------------------------------------- the command line
@pytest.fixture(scope="module")
def reach(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reach")
    values = {"env": "eqrl/Reach-v0", "n_timesteps": 64, "n_envs": 2, "rotations": 0, "eval_freq": 0, "num_threads": 1}
    config = Config(**values, log_folder=str(folder), policy_kwargs={"network_kwargs": {"hidden": [8]}}, device="cpu")
    run = train(config.replace(hyperparams={"n_steps": 32, "batch_size": 32}))
    run.model.save(folder / "model.zip")
    file = folder / "run.yaml"
    file.write_text(yaml.safe_dump({k: v for k, v in run.config.to_dict().items() if v is not None}))
    return run.path, folder / "model.zip", file


def test_evaluate_and_export(tmp_path, reach, capsys):
    run, archive, file = reach
    zero_shot = tmp_path / "zero_shot.json"
    options = ["--rotations", "2", "--episodes", "2", "--json", str(zero_shot)]
    results = []
    for argv in ([str(run)], [str(archive), "--config", str(file)], [str(archive), "--config", str(file), "--trusted"]):
        assert main(["evaluate", *argv, *options]) == 0
        numbers = json.loads(zero_shot.read_text())
        results.append((numbers["return"], numbers["timesteps"]))
    assert results[0] == results[1] == results[2]
    assert np.array_equal(evaluate(archive, config=file, rotations=2, episodes=2).mean_return, results[0][0])
    written = []
    for argv in ([str(run)], [str(archive), "--config", str(file)], [str(archive), "--trusted"]):
        assert main(["export", *argv, "--out", str(tmp_path / "policy.pt2")]) == 0
        program = torch.export.load(tmp_path / "policy.pt2").module()
        written.append(list(program.state_dict().values()))
    assert len(written[0]) == len(written[1]) == len(written[2]) > 0
    for values in written[1:]:
        assert all(torch.equal(a, b) for a, b in zip(written[0], values, strict=True))
    capsys.readouterr()
    for argv, words in (
        (["evaluate", str(archive)], "--config run.yaml"),
        (["export", str(archive)], "--config run.yaml"),
        (["evaluate", str(archive), "--trusted"], "which environment to play"),
        (["evaluate", str(run), "--config", str(file)], "leave 'config' out"),
        (["export", str(run), "--config", str(file)], "leave 'config' out"),
        (["evaluate", str(run), "--trusted"], "leave 'trusted' out"),
        (["evaluate", str(file)], "eqrl train --config"),
        (["evaluate", str(archive), "--config", str(tmp_path / "none.yaml")], "none.yaml"),
        (["evaluate", str(archive), "--config", str(archive)], "unknown kind '.zip'"),
        (["export", str(archive), "--config", str(file), "--checkpoint", "best"], "checkpoint 'best'"),
        (["evaluate", str(tmp_path / "none.zip"), "--config", str(file)], "does not exist"),
    ):
        assert main(argv) == 2
        line = capsys.readouterr().err
        assert line.startswith("eqrl: error: ")
        assert line.count("\n") == 1
        assert words in line


def test_archives_of_a_plain_sb3_program(tmp_path):
    """A model made without eqrl, with a configuration written by hand."""
    model = PPO("MlpPolicy", "Pendulum-v1", n_steps=32, batch_size=32, policy_kwargs={"net_arch": [16]}, device="cpu")
    model.learn(64)
    model.save(tmp_path / "pendulum")
    file = tmp_path / "run.yaml"
    file.write_text("env: Pendulum-v1\nnetwork: MlpPolicy\npolicy_kwargs: {net_arch: [16]}\ndevice: cpu\n")
    again, _ = eqrl.load(tmp_path / "pendulum.zip", config=file)
    x = np.ones((2, 3), np.float32)
    assert np.array_equal(model.predict(x, deterministic=True)[0], again.predict(x, deterministic=True)[0])
    assert same(model, again)
