"""Two processes on this machine that meta-train together: the run of one, the files written once, stopped together."""

import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from helpers import max_difference
from mplp_lite import weights
from mplp_lite.__main__ import main
from mplp_lite.run import hosts, loop
from mplp_lite.run.errors import RunError
from mplp_lite.run.folder import Folder, read_curve
from mplp_lite.run.recipes import find

SMALL = ["widths=1,1", "learner=stateless", "message=1", "inner_steps=2", "inner_batch=3", "held_out=4", "outer_batch=2"]
STEPS = 200


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def command(out, steps=STEPS):
    changes = [word for assignment in SMALL for word in ("--set", assignment)]
    return ["train", "sinusoid", *changes, "--steps", str(steps), "--seed", "3", "--checkpoint-every", "10", "--out", str(out)]


def start_both(outs, steps=STEPS):
    """Two hosts, each with a folder of its own, so that one sees who writes."""
    address, processes = f"127.0.0.1:{free_port()}", []
    for host, out in enumerate(outs):
        more = ["--hosts", "2", "--host", str(host), "--coordinator", address]
        line = [sys.executable, "-m", "mplp_lite", *command(out, steps), *more]
        processes.append(subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    return processes


def end(processes):
    """Exit code, output and errors of each."""
    found = [process.communicate(timeout=400) for process in processes]
    return [(process.returncode, *texts) for process, texts in zip(processes, found, strict=True)]


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """What two hosts leave and say."""
    outs = [tmp_path_factory.mktemp(name) / "run" for name in ("first", "second")]
    return outs, end(start_both(outs))


def test_two_hosts_give_the_run_of_one(both, tmp_path):
    (first, _), ((code, told, _), (other_code, _, _)) = both
    assert (code, other_code) == (0, 0) and str(first / "rule.npz") in told
    assert main(command(tmp_path)) == 0
    protocol = find("sinusoid").changed(SMALL).protocol
    alone, shared = (weights.load(folder / "rule", protocol).trained for folder in (tmp_path, first))
    assert max_difference(shared, alone) < 1e-5
    losses = [[row["loss"] for row in read_curve(folder / "curve.csv")] for folder in (tmp_path, first)]
    assert len(losses[0]) == STEPS // loop.CHUNK
    np.testing.assert_allclose(*losses, rtol=1e-4)
    metrics = [weights.load_card(folder / "rule")["metric"]["mean"] for folder in (tmp_path, first)]
    assert metrics[0] == pytest.approx(metrics[1], rel=1e-3)


def test_only_the_first_host_writes_and_speaks(both):
    (first, second), (_, (_, told, _)) = both
    assert sorted(path.name for path in first.iterdir()) == [".lock", "checkpoint.npz", "curve.csv", "rule.json", "rule.npz"]
    assert not second.exists() and "rule" not in told


def break_off(outs, host, sent):
    """Starts both, sends one of them a signal after the first checkpoint; how they end, and the step that is safe."""
    processes = start_both(outs)
    while not (outs[0] / "checkpoint.npz").exists():
        assert processes[0].poll() is None, processes[0].stderr.read()
        time.sleep(0.05)
    processes[host].send_signal(sent)
    ended = end(processes)
    recipe = find("sinusoid").changed([*SMALL, f"steps={STEPS}"])
    step, _, _ = Folder(outs[0], recipe, 3).restore(loop.Trainer(recipe, 3).template())
    assert 0 < step < STEPS
    return ended, step


def assert_resumes(outs, both):
    """Started again, both go on to the end as if nothing had been."""
    (unbroken, _), _ = both
    assert [result[0] for result in end(start_both(outs))] == [0, 0]
    for name in ("rule.npz", "rule.json", "curve.csv"):
        assert (outs[0] / name).read_bytes() == (unbroken / name).read_bytes(), name


@pytest.mark.slow
def test_both_stop_together_and_resume_exactly(both, tmp_path):
    """Ctrl-C reaches only the second; both stop after the same chunk."""
    outs = [tmp_path / "first", tmp_path / "second"]
    ((code, _, errors), (other_code, _, _)), step = break_off(outs, 1, signal.SIGINT)
    assert (code, other_code) == (130, 130), errors
    assert f"step {step} is saved" in errors
    assert_resumes(outs, both)


@pytest.mark.slow
def test_a_killed_host_ends_the_first_with_one_sentence_and_no_work_is_lost(both, tmp_path):
    outs = [tmp_path / "first", tmp_path / "second"]
    ((code, _, errors), (killed, _, _)), _ = break_off(outs, 1, signal.SIGKILL)
    assert (code, killed) == (2, -signal.SIGKILL), errors
    assert "The hosts cannot go on together (" in errors and "start all of them again with the same commands." in errors
    assert "Traceback" not in errors
    assert_resumes(outs, both)


@pytest.mark.slow
def test_when_the_first_host_is_killed_the_other_ends_and_what_was_saved_is_good(tmp_path):
    outs = [tmp_path / "first", tmp_path / "second"]
    ((killed, _, _), (code, _, _)), _ = break_off(outs, 0, signal.SIGKILL)
    assert killed == -signal.SIGKILL and code != 0


def test_what_the_first_host_cannot_do_ends_both_with_its_sentence(both, tmp_path):
    (first, _), _ = both
    found = end(start_both([first, tmp_path / "second"], STEPS + 10))
    assert [code for code, _, _ in found] == [2, 2]
    assert all("holds a run with steps 200, not 210" in errors.splitlines()[-1] for _, _, errors in found)


# ---------------------------------------------------------------- one process


def test_one_process_leads_and_agrees_with_itself():
    made = object()
    assert hosts.leads() and hosts.from_first(lambda: made) is made
    assert hosts.anywhere(True) is True and hosts.anywhere(False) is False


def test_alone_an_error_of_jax_stays_what_it_is():
    with pytest.raises(jax.errors.JaxRuntimeError, match="as it was"), hosts.together():
        raise jax.errors.JaxRuntimeError("as it was")


HALF = {
    "--host 0": "without --hosts N",
    "--coordinator 127.0.0.1:1": "without --hosts N",
    "--hosts auto --host 1": "without --hosts N",
    "--hosts 2": "needs --coordinator ADDRESS:PORT and --host I, from 0 to 1",
    "--hosts 2 --host 1": "needs --coordinator",
    "--hosts 2 --host 2 --coordinator 127.0.0.1:1": "from 0 to 1",
}


@pytest.mark.parametrize(("options", "sentence"), HALF.items())
def test_hosts_that_are_half_named(options, sentence, capsys):
    assert main(["train", "sinusoid", *options.split()]) == 2
    assert sentence in capsys.readouterr().err


def test_jax_that_does_not_find_the_others(monkeypatch, capsys):
    def fail(*arguments):
        raise ValueError("coordinator_address should be defined.\nMore")

    monkeypatch.setattr(jax.distributed, "initialize", fail)
    with pytest.raises(RunError, match=r"do not find each other \(coordinator_address should be defined\.\); give --hosts N --host I"):
        hosts.connect()
    assert main(["train", "sinusoid", "--hosts", "auto"]) == 2
    assert "do not find each other" in capsys.readouterr().err
