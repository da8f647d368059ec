"""Sent again untouched, no rejected row gets out: the case of the issue, and its siblings, through whole runs."""

from __future__ import annotations

from pathlib import Path

import pytest

import bulk_sender as bs

CASE = Path(__file__).parents[1] / "reading" / "data" / "texts" / "11_unquoted_comma.csv"


def test_a_comma_without_quotes_is_rejected_again_with_its_whole_text(tmp_path: Path) -> None:
    first = bs.send(CASE, run_id="first", runs_dir=tmp_path, sandbox=True)
    assert (first.accepted, first.rejected) == (1, 2)
    again = bs.send(first.files["rejected"], run_id="again", runs_dir=tmp_path, sandbox=True)
    assert (again.accepted, again.rejected) == (0, 2)
    for run in ("first", "again"):
        found = bs.rejected(run, runs_dir=tmp_path)
        assert found["unreadable"].to_list() == ["u1,Smith, John,FR", "u2,Ann"]
    third = bs.send(again.files["rejected"], run_id="third", runs_dir=tmp_path, sandbox=True)
    assert (third.accepted, third.rejected) == (0, 2)


@pytest.mark.parametrize("count", [2, 3])
def test_rejects_of_several_runs_are_sent_together(tmp_path: Path, count: int) -> None:
    files = []
    for number in range(count):
        path = tmp_path / f"{number}.csv"
        path.write_text("external_user_id,attributes.a\n" + ("u1,2,3\n" if number else ",2\n"))
        files.append(bs.send(path, run_id=f"r{number}", runs_dir=tmp_path, sandbox=True).files["rejected"])
    for given in (files, files[::-1]):
        again = bs.send(given, run_id=f"again{given == files}", runs_dir=tmp_path, sandbox=True)
        assert (again.accepted, again.rejected) == (0, count)


def test_a_semicolon_file_of_a_french_spreadsheet_opens_in_it_again(tmp_path: Path) -> None:
    path = tmp_path / "clients.csv"
    path.write_bytes("N° client;Prénom;Âge\r\n000077;Zoé;trente\r\n000078;Éric;30\r\n".encode("cp1252"))
    config = {
        "recipient": {"external_user_id": "N° client", "attributes": {"age": {"column": "Âge", "type": "integer"}}}
    }
    done = bs.send(path, config, run_id="r", runs_dir=tmp_path, sandbox=True)
    written = Path(done.files["rejected"]).read_bytes().decode("cp1252")
    assert written.splitlines()[0] == "N° client;Prénom;Âge;error;source_line;run"
    assert written.count("\r\n") == 2
    Path(done.files["rejected"]).write_bytes(written.replace("trente;", "31;").encode("cp1252"))
    again = bs.send(done.files["rejected"], config, run_id="again", runs_dir=tmp_path, sandbox=True)
    assert again.accepted == 1
    assert bs.explain("again", 1, runs_dir=tmp_path)["recipient"] == {
        "external_user_id": "000077",
        "attributes": {"age": 31},
    }
