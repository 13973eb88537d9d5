"""The tool that makes the package wrong on purpose, tried on a package of one line; and its mutants, which must fit today's package."""

import pytest

import mutants
from helpers import refused
from mutants import Mutant

ADDS = Mutant("adds one too many", "toy", "a + b", "a + b + 1", "toy")


@pytest.fixture
def toy(tmp_path):
    """A package that adds, and its test."""
    (tmp_path / "mplp_lite").mkdir()
    (tmp_path / "tests").mkdir()
    (tmp_path / "mplp_lite" / "__init__.py").write_text("")
    (tmp_path / "mplp_lite" / "toy.py").write_text("def add(a, b):\n    return a + b  # not a - b\n")
    (tmp_path / "tests" / "test_toy.py").write_text("from mplp_lite.toy import add\n\ndef test_add():\n    assert add(2, 3) == 5\n")
    return tmp_path


@pytest.mark.slow
def test_a_mutant_that_a_test_sees_is_caught_and_one_that_none_sees_survives(toy):
    before = (toy / "mplp_lite" / "toy.py").read_text()
    assert mutants.caught(toy, ADDS)
    assert not mutants.caught(toy, ADDS._replace(old="not a - b", new="nor a * b"))
    assert (toy / "mplp_lite" / "toy.py").read_text() == before


def test_tests_that_cannot_run_catch_nothing(toy):
    with pytest.raises(RuntimeError, match="pytest could not run"):
        mutants.caught(toy, ADDS._replace(tests="none"))


@pytest.mark.parametrize("old", ["a * b", "a"])
def test_a_text_that_does_not_stand_there_once_is_refused(toy, old):
    with refused(ValueError, "not once; edit tools/mutants.py"):
        mutants.mutate(toy, ADDS._replace(old=old))


@pytest.mark.slow
def test_the_command_line_tells_who_survives(toy, monkeypatch, capsys):
    monkeypatch.setattr(mutants, "HERE", toy)
    monkeypatch.setattr(mutants, "MUTANTS", [ADDS, ADDS._replace(name="harmless", old="not a - b", new="nor a * b")])
    assert mutants.main([]) == 1 and mutants.main([ADDS.name]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["caught", "SURVIVED", "caught"]


@pytest.mark.parametrize("mutant", mutants.MUTANTS, ids=lambda mutant: mutant.name)
def test_every_mutant_fits_the_package_and_names_tests_that_exist(mutant):
    text = (mutants.HERE / "mplp_lite" / f"{mutant.file}.py").read_text()
    assert text.count(mutant.old) == 1 and mutant.old != mutant.new
    compile(text.replace(mutant.old, mutant.new), mutant.file, "exec")
    assert all((mutants.HERE / "tests" / f"test_{name}.py").is_file() for name in mutant.tests.split())


def test_mutants_have_names_of_their_own():
    assert len({mutant.name for mutant in mutants.MUTANTS}) == len(mutants.MUTANTS) >= 30
