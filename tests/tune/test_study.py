"""A study goes on after interruptions and kills, in several processes, and its journal survives."""

import pytest

from eqrl.errors import UsageError
from eqrl.tuning.journal import remove_cut_line
from eqrl.tuning.setup import Setup
from eqrl.tuning.space import Space

optuna = pytest.importorskip("optuna")
from eqrl.tuning.study import Study  # noqa: E402

SPACE = Space.read({"learning_rate": {"log": [1e-4, 1e-2]}, "n_epochs": {"integers": [1, 9]}}, "ppo", "here")
REACH = {"env": "eqrl/Reach-v0", "n_timesteps": 1000}


def study(folder, **options):
    return Study(folder, Setup({**REACH, **options}, SPACE, startup_trials=2))


def drawn(folder, count, value=1.0):
    """The values of some trials, each in a session of its own."""
    values = []
    for _ in range(count):
        session = study(folder)
        with session.next(total=100) as proposal:
            values.append(proposal.values)
            session.complete(proposal, value)
    return values


def states(folder):
    trials = study(folder)._study.get_trials(deepcopy=False)
    return [trial.state.name for trial in trials]


def test_sessions_do_not_repeat_each_other_and_can_be_repeated(tmp_path):
    values = drawn(tmp_path / "a", 4)
    assert len({str(v) for v in values}) == 4
    assert drawn(tmp_path / "b", 4) == values


def test_a_trial_whose_process_is_gone_is_tried_again(tmp_path):
    gone, here = study(tmp_path), study(tmp_path)
    lost = gone._propose(total=1)  # never locked, as if its process had been killed
    with here.next(total=1) as proposal:
        assert (proposal.number, proposal.attempt, proposal.values) == (lost.number, 2, lost.values)
        assert proposal.folder == lost.folder
        here.complete(proposal, 1.0)
    with here.next(total=1) as proposal:
        assert proposal is None
    assert states(tmp_path) == ["FAIL", "COMPLETE"]


def test_one_that_is_running_is_left_alone(tmp_path):
    here, there = study(tmp_path), study(tmp_path)
    with here.next(total=2) as first, there.next(total=2) as second:
        assert {first.number, second.number} == {0, 1}
        with there.next(total=2) as third:
            assert third is None
    assert states(tmp_path) == ["RUNNING", "RUNNING"]


def test_a_trial_that_always_kills_its_process_is_given_up(tmp_path):
    session = study(tmp_path)
    assert [session._propose(total=1).attempt for _ in range(3)] == [1, 2, 3]
    assert session._propose(total=1) is None
    assert states(tmp_path) == ["FAIL"] * 3
    assert session.counts["failed"] == 1


def test_an_interruption_is_no_attempt(tmp_path):
    session = study(tmp_path)
    for _ in range(5):
        with session.next(total=1) as proposal:
            assert (proposal.number, proposal.attempt) == (0, 1)
            session.interrupt(proposal)
    with session.next(total=1) as proposal:
        session.complete(proposal, 2.0)
    assert session.write_best().number == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"env": "eqrl/Push-v0"}, "env is 'eqrl/Reach-v0' there and 'eqrl/Push-v0' here"),
        ({"n_timesteps": 2000}, "n_timesteps is 1000 there and 2000 here"),
    ],
)
def test_another_study_in_the_folder_is_refused(tmp_path, options, words):
    study(tmp_path)
    study(tmp_path, num_threads=1, log_folder="elsewhere")  # of no consequence
    with pytest.raises(UsageError, match=words):
        study(tmp_path, **options)


def test_another_space_is_refused(tmp_path):
    study(tmp_path)
    space = Space.read({"learning_rate": {"log": [1e-4, 1e-1]}}, "ppo", "here")
    with pytest.raises(UsageError, match=r"space\.learning_rate\.log is .*--study"):
        Study(tmp_path, Setup(REACH, space, startup_trials=2))


def test_a_line_that_a_kill_cut_off_is_removed(tmp_path):
    drawn(tmp_path, 1)
    journal = tmp_path / "journal.log"
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code":5,"wor')
    drawn(tmp_path, 1)
    assert states(tmp_path) == ["COMPLETE", "COMPLETE"]
    for text in (b"", b"a\n", b"a\nb\n"):
        journal.write_bytes(text + b"cut")
        remove_cut_line(journal)
        assert journal.read_bytes() == text
        remove_cut_line(journal)
        assert journal.read_bytes() == text


def test_a_damaged_journal_is_one_line(tmp_path):
    study(tmp_path)
    (tmp_path / "journal.log").write_text("nonsense\nnonsense\n")
    with pytest.raises(UsageError, match=r"journal\.log is damaged"):
        study(tmp_path)
