"""The commands that belong to the service, as a user types them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import processes

JUDGED = "query,id,mark,rank\nid:7,12,right,1\nid:7,13,wrong,2\ncode:9f,12,right,1\n"


def test_judgements_are_evaluated(tmp_path: Path) -> None:
    (tmp_path / "marks.csv").write_text(JUDGED)
    done = processes.hashlens("evaluate", "--judgements", tmp_path / "marks.csv", "--at", "1,all")
    assert done.returncode == 0
    assert "3 results, 2 of them right" in done.stdout
    assert "precision@1" in done.stdout and "0.7500" in done.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("evaluate",), "--judgements FILE alone"),
        (("evaluate", "--judgements", "nowhere.csv"), "nowhere.csv cannot be read"),
        (("serve", "nowhere"), "There is no index at nowhere"),
        (("serve", "nowhere", "--host", "0.0.0.0"), "needs a token"),
    ],
)
def test_refusals_are_one_sentence(words: tuple[str, ...], says: str) -> None:
    done = processes.hashlens(*words)
    assert done.returncode == 2
    assert says in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_the_command_line_does_not_load_the_service() -> None:
    program = "import sys, hashlens.cli; hashlens.cli.application(); print('fastapi' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
