"""Tables are never truncated, however narrow the terminal, and keep their full width without one."""

import io

import numpy as np
import pytest
from rich.console import Console
from rich.table import Table

from eqrl.commands.tables import print_table

NAME = "exchange of front_left_shoulder_yaw_joint_link and front_right_shoulder_yaw_joint_link"


def table():
    out = Table(title="errors")
    for name in ("generator", "kind"):
        out.add_column(name)
    for name in ("1", "10", "equivariance error"):
        out.add_column(name, justify="right")
    out.add_column("holds")
    out.add_row(NAME, "morphology", "1.2e-12", "3.4e-11", "5.6e-10", "yes")
    return out


def printed(**options):
    stream = io.StringIO()
    print_table(Console(file=stream, color_system=None, **options), table())
    return stream.getvalue()


@pytest.mark.parametrize("width", [30, 60, 80, 120, 300])
def test_a_terminal_breaks_names_and_cuts_no_number(width):
    out = printed(force_terminal=True, width=width)
    assert "…" not in out
    assert all(number in out for number in ("1.2e-12", "3.4e-11", "5.6e-10", "equivariance error"))
    first = "".join(line.split("│")[1].strip(" ") for line in out.splitlines() if line.startswith("│"))
    assert first.replace(" ", "") == NAME.replace(" ", "")
    if width >= 80:
        assert max(map(len, out.splitlines())) <= width


def test_a_pipe_has_no_width():
    assert any(NAME in line and "5.6e-10" in line and "yes" in line for line in printed().splitlines())


def test_what_evaluate_prints_into_a_pipe():
    from eqrl.commands.evaluate import table as print_result
    from eqrl.evaluation.protocol import ZeroShot

    angles = np.array([0.0, 180.0])
    result = ZeroShot(
        protocol="scene",
        angles_deg=angles,
        returns=np.full((2, 3), -123456.789),
        successes=None,
        equivariance_error=angles + 1e-7,
    )
    stream = io.StringIO()
    print_result(result, Console(file=stream, width=40))
    assert "-123456.79" in stream.getvalue()
    assert "equivariance error" in stream.getvalue()
    assert "…" not in stream.getvalue()


def test_the_report_of_a_policy_keeps_names_and_numbers_apart():
    from eqrl.proof import PolicyReport

    fields = {"group": "C2", "samples": 4, "errors": {"action": {NAME: 1e-6, "mirror": 2e-7}}}
    assert f"{NAME}  1.0e-06" in str(PolicyReport(**fields))
