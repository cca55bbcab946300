"""Results of a live run: kept as it goes, taken up, read by every other command."""

import json
import os
import signal
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest
import zmq

import ffbidx_core
from ffbidx_cli.main import main
from ffbidx_core.errors import UsageError
from ffbidx_core.live.dialects import own
from ffbidx_core.live.messages import End, Frame, Start
from tests.helpers.calls import MONO, start
from tests.helpers.live.server import SPOTS, Client, message, serving
from tests.helpers.runs.until import until

QUICK = ("--num-halfsphere-points", "4096", "--learn-cell", "0", "--judge-frames", "0", "--threads", "1")


def same(a, b):
    return len(a) == len(b) and np.array_equal(a.cells, b.cells) and np.array_equal(a.n_indexed, b.n_indexed)


def test_results_are_those_of_index_over_the_kept_spots(tmp_path):
    output = tmp_path / "run.h5"
    with serving(output=str(output), save_every=0) as server, Client(server) as client:
        for k in range(8):
            client.send(message(k, "r"))
        client.answers(8)
        client.send(End("r"))
        client.answers(1)
    results = ffbidx_core.read_results(output)
    assert results.complete
    assert list(results.id) == [f"frame {k}" for k in range(8)]
    assert not (tmp_path / "run.h5.parts").exists()
    again = ffbidx_core.RunRequest(
        str(tmp_path / "run.h5.spots"),
        MONO,
        parameters={"num_halfsphere_points": 4096, "learn_cell": 0, "judge_frames": 0},
        threads=1,
    )
    assert same(ffbidx_core.index(again).results, results)
    assert {Path(source).parent.name for source in results.source} == {"run.h5.spots"}


def test_other_commands_read_a_run_that_goes_on_by_the_name_of_its_results(tmp_path, capfd):
    output = tmp_path / "run.h5"
    ledger = tmp_path / "run.h5.parts" / "ledger.jsonl"
    with serving(output=str(output), save_every=0) as server, Client(server) as client:
        for k in range(2):
            client.send(message(k, "r"))
            client.answers(1)
            until(lambda n=k + 1: ledger.exists() and ledger.read_text().count('"shard"') == n)
        assert not output.exists()
        assert main(["table", str(output), "--format", "csv"]) == 0
        table = capfd.readouterr()
        assert "frame 0" in table.out
        assert "frame 1" in table.out
        assert "the run has not ended; its first 2 frames are saved" in table.err
        assert main(["inspect", str(output), "--json"]) == 0
        shown = capfd.readouterr()
        assert json.loads(shown.out)["frames"] == 2
        assert "the run has not ended; its first 2 frames are saved" in shown.err
        assert main(["diagnose", str(output)]) == 0
        assert f"ffbidx show {output}" in capfd.readouterr().out
        assert main(["convert", str(output), "-o", str(tmp_path / "crystals.csv")]) == 0
        assert len((tmp_path / "crystals.csv").read_text().splitlines()) == 3
        assert main(["report", str(output), "-o", str(tmp_path / "report.html")]) == 0
        assert "the run has not ended; its first 2 frames are saved" in capfd.readouterr().err
        assert (tmp_path / "report.html").stat().st_size > 10_000
        client.send(message(2, "r"), End("r"))
        client.answers(2)
    capfd.readouterr()
    assert main(["table", str(output)]) == 0
    assert "3 crystals on 3 frames" in capfd.readouterr().err


def test_a_run_that_was_stopped_is_taken_up(tmp_path):
    output = str(tmp_path / "run.h5")
    with serving(output=output) as server, Client(server) as client:
        client.send(message(0), message(1))
        client.answers(2)
    assert not ffbidx_core.read_results(output).complete
    with serving(output=output, resume=True) as server, Client(server) as client:
        client.send(Frame("", -1, "", spots=SPOTS[2]))
        (answer,) = client.answers(1)
        assert answer["number"] == 2
        client.send(End(""))
        client.answers(1)
    results = ffbidx_core.read_results(output)
    assert results.complete
    assert len(results) == 3
    with pytest.raises(UsageError, match="complete"), serving(output=output, resume=True):
        pass
    with pytest.raises(UsageError, match="d_min"), serving(output=output, resume=True, d_min=2.5):
        pass


def test_frames_of_a_complete_run_are_refused_and_the_current_run_goes_on(tmp_path):
    output = str(tmp_path / "{run}.h5")
    with serving(output=output) as server, Client(server) as client:
        client.send(message(0, "a"), End("a"))
        client.answers(2)
    with serving(output=output, resume=True) as server, Client(server) as client:
        client.send(message(0, "b"), message(1, "a"), message(2, "a"), Start("a"), message(1, "b"), End("b"))
        answers = client.answers(6)
    assert [a["type"] for a in answers] == ["answer", "error", "error", "error", "answer", "ended"]
    assert all("a.h5 is complete" in a["message"] for a in answers[1:4])
    assert [(s.frames, s.complete) for s in server.summaries] == [(2, True)]
    assert len(ffbidx_core.read_results(tmp_path / "a.h5")) == 1


def test_the_frame_of_another_run_ends_a_server_with_one_output(tmp_path):
    with serving(output=str(tmp_path / "one.h5"), overwrite=True) as server, Client(server) as client:
        client.send(message(0, "a"), message(0, "b"))
        answer, error = client.answers(2)
        server.thread.join(60)
    assert (answer["status"], error["type"]) == ("indexed", "error")
    assert "the run b has no output of its own" in error["message"]
    results = ffbidx_core.read_results(tmp_path / "one.h5")
    assert (len(results), results.complete) == (1, True)


@pytest.mark.parametrize("asked", [{}, {"overwrite": True}, {"resume": True}])
def test_runs_of_a_server_replace_no_results_of_each_other(asked, tmp_path):
    if "overwrite" in asked:
        (tmp_path / "run.h5").write_text("of another server")
    with serving(output=str(tmp_path / "{run}.h5"), **asked) as server, Client(server) as client:
        client.send(Start("a/b"), message(0, "a/b"), message(1, "a_b"), End("a_b"))
        client.send(message(2), End(""), message(3), End(""))
        client.send(Start("none"), End("none"), Start("none"), message(4, "none"), End("none"))
        answers = client.answers(13)
    assert not [a for a in answers if a["type"] == "error"]
    found = {path.stem: list(ffbidx_core.read_results(path).id) for path in tmp_path.glob("*.h5")}
    names = ("a_b", "a_b-2", "run", "run-2", "none")
    assert found == {name: [f"frame {k}"] for k, name in enumerate(names)}
    assert [(s.frames, s.complete) for s in server.finished] == [(n, True) for n in (1, 1, 1, 1, 0, 1)]


def test_the_cell_is_learned_while_frames_are_answered_and_a_note_names_the_first_frame(tmp_path):
    output = str(tmp_path / "run.h5")
    parameters = {"learn_cell": 16, "learn_beam": False}
    near = "31.2,41.8,53.2,90,103,90"
    with serving(output=output, cells=(near,), parameters=parameters) as server, Client(server) as client:
        notes: list[str] = []
        k = 0
        while not notes and k < 3000:
            client.send(*(message(k + j, "r") for j in range(8)))
            client.answers(8)
            k += 8
            notes = [text for text in server.shown if text.startswith("from frame")]
        client.send(End("r"))
        client.answers(1)
    first = int(notes[0].split()[2])
    assert 16 <= first <= k
    with h5py.File(output) as file:
        learned = file["learned_cells"][0]
        assert any(
            note
            in str(dict(file["run"].attrs)) + str([v[()] for v in file["run"].values() if isinstance(v, h5py.Dataset)])
            for note in notes
        )
    assert np.allclose(np.linalg.norm(learned, axis=1), [31, 42, 53], atol=0.02)


def wait_for(process: subprocess.Popen, word: str) -> str:
    for line in process.stderr:
        if word in line:
            return line
    raise AssertionError(process.returncode)


def send_all(address, first, n):
    context = zmq.Context()
    push = context.socket(zmq.PUSH)
    push.connect(address)
    for k in range(first, first + n):
        push.send(own.encode(message(k, "r")))
    return context, push


def test_a_killed_server_goes_on_behind_its_last_saved_part(tmp_path):
    output = tmp_path / "run.h5"
    command = ["serve", "--bind", f"ipc://{tmp_path}/in", "--cell", MONO, "-o", output, "--save-every", "0", *QUICK]
    server = start(*command)
    wait_for(server, "spot lists")
    context, push = send_all(f"ipc://{tmp_path}/in", 0, 30)
    until(lambda: list((tmp_path / "run.h5.parts").glob("0*.h5")))
    os.kill(server.pid, signal.SIGKILL)
    server.wait()
    server.stderr.close()
    server = start(*command, "--resume")
    wait_for(server, "spot lists")
    push.send(own.encode(message(1000, "r")))
    push.send(own.encode(End("r")))
    assert server.wait(120) == 0, server.stderr.read()
    context.destroy(linger=0)
    results = ffbidx_core.read_results(output)
    assert results.complete
    names = list(results.id)
    assert len(set(names)) == len(names)
    assert names[-1] == "frame 1000"
    assert results.status.tolist() == [0] * len(names)


def test_lines_come_from_standard_input_and_answers_go_to_standard_output(tmp_path):
    import json

    lines = [json.dumps({"number": k, "spots": SPOTS[k].tolist()}) for k in range(3)] + ["nonsense"]
    server = start("serve", "--stdin", "--cell", MONO, *QUICK, stdin=subprocess.PIPE)
    out, err = server.communicate("\n".join(lines) + "\n", timeout=120)
    assert server.returncode == 0, err
    answers = [json.loads(line) for line in out.splitlines()]
    assert sorted(a["number"] for a in answers if a["type"] == "answer") == [0, 1, 2]
    assert sum(a["type"] == "error" for a in answers) == 1
    assert "3 frames, 100.0% indexed" in err
    assert "0 frames dropped; 1 message could not be used" in err
