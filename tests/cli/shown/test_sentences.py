"""Sentences on a terminal break at blanks, command lines and piped output do not break."""

import sys

from ffbidx_cli.console import data_console
from ffbidx_cli.pictures import show_report
from ffbidx_cli.sentences import print_sentence
from ffbidx_core.report.report import Report
from tests.helpers.terminal import screen_of

COMMAND = "Next: ffbidx index --config run.h5 --beam-centre 1 2 -o run.next.h5"
WHY = "Spots lie 0.00021/A across the diffracted ray and 0.00059/A along it from the predicted ones (rms)."

CODE = """
from ffbidx_cli.console import data_console
from ffbidx_cli.sentences import print_sentence
for sentence in {}:
    print_sentence(data_console(), sentence)
"""


def test_a_terminal_breaks_a_sentence_at_blanks_and_a_command_not_at_all(tmp_path):
    code = CODE.format([COMMAND, WHY])
    first, *others = screen_of([sys.executable, "-c", code], 40, str(tmp_path)).strip().splitlines()
    assert first == COMMAND
    assert len(others) > 1
    assert max(map(len, others)) <= 40
    assert " ".join(" ".join(others).split()) == WHY


def test_no_name_of_a_file_is_cut(tmp_path):
    name = "/data/visitor/mx2600/id29/20261126/RAW_DATA/lysozyme/run_17/lysozyme_17_master.h5"
    code = CODE.format([f"{name}: {WHY}"])
    assert screen_of([sys.executable, "-c", code], 40, str(tmp_path)).strip().splitlines()[0] == f"{name}:"


def test_piped_sentences_have_a_line_each(capsys):
    for sentence in (COMMAND, WHY * 9):
        print_sentence(data_console(), sentence)
    assert capsys.readouterr().out.splitlines() == [COMMAND, WHY * 9]


def test_a_report_begins_with_the_next_step(capsys):
    facts = [("frames", "3")]
    show_report(Report("run.h5", facts, ["Few."], {}, [], 0, [], [], [], [], diagnosis=[COMMAND, WHY]))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == COMMAND
    assert lines[1].split() == ["frames", "3"]
    assert lines[2:] == ["Few.", WHY]
