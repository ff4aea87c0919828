"""Logs on a disk that is full."""

import errno
import os

import pytest

from eqrl.runs.logs import Board, Forgiving


def test_tensorboard_on_a_full_disk_says_one_line_and_no_traceback(tmp_path, capfd):
    board = Board(tmp_path)
    worker = board.writer.file_writer.event_writer._async_writer._worker

    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    worker._record_writer.write = full
    log = Forgiving(board, "the TensorBoard log")

    def write():
        for step in range(50):
            log.write({"a": 1.0}, {"a": ()}, step)

    with pytest.warns(UserWarning, match=r"^the TensorBoard log cannot be written \(No space left on device\)"):
        write()
    log.close()
    assert not worker.is_alive()
    assert "Traceback" not in capfd.readouterr().err
