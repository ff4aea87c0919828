import pytest
import yaml

from eqrl.files.plain_files import parse_yaml


@pytest.mark.parametrize("text", ["5e-8", "-5e-8", "1.5e3", ".5e-3", "5.e-3", "2E+4", "1.0e-4"])
def test_numbers_with_an_exponent_are_numbers(text):
    assert parse_yaml(f"{{weight: {text}}}") == {"weight": float(text)}


@pytest.mark.parametrize("text", ["lin_1e-3", "1e5x", "e5", "1e", "cheetah_14"])
def test_texts_stay_texts(text):
    assert parse_yaml(f"{{name: {text}}}") == {"name": text}


def test_pyyaml_itself_is_left_alone():
    assert yaml.safe_load("1e-4") == "1e-4"
