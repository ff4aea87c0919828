"""``eqrl watch`` on the command line: who can reach it, how it ends, and what it says when it cannot start."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from eqrl.commands import main
from eqrl.commands.watch import Options, make_session
from eqrl.errors import UsageError
from eqrl.runs.config import Config
from eqrl.train import train
from eqrl.watching.loopback import listen

SMALL = {"hyperparams": {"n_steps": 32, "batch_size": 64}, "n_envs": 2, "n_timesteps": 64, "rotations": 0}
SMALL |= {"eval_freq": 0, "num_threads": 1}
LOOPBACK = ("127.0.0.1", "::1")


def listening_addresses(pid):
    """The addresses on which a process listens, read from the kernel."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # what reads the folder is in it too
            target = os.readlink(descriptor)
            inodes.add(target.removeprefix("socket:[").removesuffix("]"))
    addresses = []
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        path = Path(f"/proc/{pid}/net/{table}")
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            local, state, inode = (line.split()[k] for k in (1, 3, 9))
            if state == "0A" and inode in inodes:
                words = bytes.fromhex(local.split(":")[0])
                packed = b"".join(words[k : k + 4][::-1] for k in range(0, len(words), 4))
                addresses.append(socket.inet_ntop(family, packed))
    return addresses


@pytest.fixture(scope="module")
def watching(runs):
    """The address that the command prints for two runs, what else it prints, and its process."""
    command = [sys.executable, "-m", "eqrl", "watch", str(runs["frame"]), str(runs["mlp"]), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    address = process.stdout.readline().split()[1]
    played = process.stdout.readline()
    yield address, played, process
    if process.poll() is None:
        process.kill()
        process.wait()
    process.stdout.close()
    process.stderr.close()


@pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="asks Linux who listens where")
def test_only_loopback_listens(watching):
    addresses = listening_addresses(watching[2].pid)
    assert addresses
    assert set(addresses) <= set(LOOPBACK), addresses
    with socket.create_server(("0.0.0.0", 0)):  # the test would see it
        assert "0.0.0.0" in listening_addresses(os.getpid())


def test_other_interfaces_refuse(watching):
    port = int(watching[0].split(":")[2].strip("/"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # nothing is sent; it tells which address of this machine faces the network
        except OSError:
            pytest.skip("this machine has no network")
        outside = probe.getsockname()[0]
    if outside.startswith("127."):
        pytest.skip("this machine has no network")
    with socket.socket() as visitor:
        visitor.settimeout(5)
        assert visitor.connect_ex((outside, port)) != 0


def test_the_page_is_served_to_pages_of_this_address_only(watching):
    address = watching[0]
    with urllib.request.urlopen(address, timeout=60) as answer:
        assert b"<html" in answer.read().lower()
    socket_address = address.replace("http", "ws") + "state?sid=test"
    for origin in (address.strip("/"), address.strip("/").replace("127.0.0.1", "localhost"), None):
        with connect(socket_address, origin=origin, open_timeout=60) as state:
            assert "viewers=" in state.recv(timeout=30)
    for origin in ("http://example.com", address.strip("/") + "0", "null"):
        with pytest.raises(InvalidStatus, match="403"):
            connect(socket_address, origin=origin, open_timeout=60).close()


def test_the_agents_play_and_interrupt_ends_it(watching):
    _, played, process = watching
    assert played == "eqrl/AntTarget-v0 played by frame beside mlp\n"
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "eqrl: interrupted\n")


def failing(capsys, *argv):
    assert main(["watch", *map(str, argv)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    return err


def test_a_port_in_use(runs, capsys):
    with listen(0) as listener:
        port = listener.getsockname()[1]
        assert f"option 'port': {port} cannot be listened on" in failing(capsys, runs["frame"], "--port", port)


def test_what_cannot_be_watched(runs, capsys):
    assert "no/such/run" in failing(capsys, "no/such/run")
    assert "no/such/run" in failing(capsys, runs["frame"], "no/such/run")
    assert "70000 is no port" in failing(capsys, runs["frame"], "--port", 70_000)
    assert "'rotations': 0 is too small" in failing(capsys, runs["frame"], "--rotations", 0)
    assert "required" in failing(capsys)
    assert "did you mean '--port'" in failing(capsys, runs["frame"], "--prot", 1)


def test_a_folder_without_a_run(tmp_path):
    command = [sys.executable, "-m", "eqrl", "watch", str(tmp_path), "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(f"eqrl: error: {tmp_path}")
    assert done.stderr.count("\n") == 1


def session(*folders, **options):
    with ExitStack() as opened:
        return make_session([str(folder) for folder in folders], Options(**options), opened)


def test_agents_that_do_not_fit_are_refused(runs, tmp_path):
    with pytest.raises(UsageError, match="is a single one, not a fleet"):
        session(runs["frame"], member="x")
    with pytest.raises(UsageError, match="does not fit the model, which was trained in eqrl/AntTarget-v0"):
        session(runs["frame"], env="eqrl/Reach-v0")
    other = train(Config(**{**SMALL, "env": "eqrl/Reach-v0", "log_folder": str(tmp_path)})).path
    with pytest.raises(UsageError, match="eqrl/AntTarget-v0 does not fit the model, which was trained in eqrl/Reach"):
        session(runs["frame"], other)


def test_one_member_of_a_fleet_is_watched(tmp_path):
    members = {"members": {"bar": {"shape": "bar"}, "T": {"shape": "T"}}}
    fleet = Config(**{**SMALL, "env": "eqrl/Push-v0", "env_kwargs": members, "log_folder": str(tmp_path)})
    run = train(fleet).path
    assert session(run).title == "eqrl/Push-v0 T"  # members are in the order of their names
    shown = session(run, member="bar", seed=3)
    assert shown.title == "eqrl/Push-v0 bar"
    alone = gymnasium.make("eqrl/Push-v0", shape="bar").unwrapped
    alone.reset(seed=3)
    assert np.array_equal(alone.simulation.batch.state[0], shown.states()[0])
    with pytest.raises(UsageError, match="no member 'bat'; did you mean 'bar'"):
        session(run, member="bat")


def test_equal_networks_are_told_apart_by_their_runs(runs):
    assert [p.name for p in session(runs["frame"]).players] == ["frame"]
    assert [p.name for p in session(runs["frame"], runs["mlp"]).players] == ["frame", "mlp"]
    names = [p.name for p in session(runs["frame"], runs["frame"]).players]
    assert names == ["frame of eqrl-AntTarget-v0_1", "frame of eqrl-AntTarget-v0_1, again"]


def test_environments_of_others_are_watched(tmp_path):
    run = train(Config(**{**SMALL, "env": "InvertedPendulum-v5", "network": "mlp", "log_folder": str(tmp_path)})).path
    played = session(run)
    assert played.title == "InvertedPendulum-v5"
    assert played.status().pushed == "cart"


def test_the_first_frame_does_not_wait_for_the_networks(runs):
    program = f"""
import sys
from contextlib import ExitStack
from eqrl.commands import watch
class Enough(Exception): pass
def preview(physics):
    slow = [name for name in ("e3nn", "torch._dynamo", "eqrl.agents", "matplotlib") if name in sys.modules]
    print(physics.model.nq, slow)
    raise Enough
try:
    with ExitStack() as opened:
        watch.make_session([{str(runs["frame"])!r}], watch.Options(), opened, preview)
except Enough:
    pass
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False)
    assert (done.stdout, done.stderr) == ("15 []\n", "")
