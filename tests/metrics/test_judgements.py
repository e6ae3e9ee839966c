"""Judgements that people made in the page, read back and counted."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from hashlens.errors import BadInput
from hashlens.metrics import Judgement, judged_precision, read_judgements
from refusals import is_one_sentence

ROWS = [("id:7", 12, "right", 1), ("id:7", 3, "wrong", 2), ("code:9f", 12, "right", 4)]
JUDGED = [Judgement(query, image, mark == "right", rank) for query, image, mark, rank in ROWS]


def test_both_forms_say_the_same(tmp_path: Path) -> None:
    names = ("query", "id", "mark", "rank")
    objects = [dict(zip(names, row, strict=True)) for row in ROWS]
    (tmp_path / "a.json").write_text(json.dumps({"judgements": objects}))
    (tmp_path / "b.json").write_text(json.dumps(objects))
    (tmp_path / "a.csv").write_text(
        "\n".join(",".join(map(str, row)) for row in [names, *ROWS]), encoding="utf-8-sig"
    )
    for name in ("a.json", "b.json", "a.csv"):
        assert read_judgements(tmp_path / name) == JUDGED


def test_ranks_may_be_unknown(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("mark,query,id\nright,a,1\nwrong,a,2\n")
    found = judged_precision(read_judgements(tmp_path / "a.csv"))
    assert found["precision@all"] == 0.5
    assert found["precision@10"] is None and found["judged@10"] == 0


def test_precision_is_that_of_a_slow_count() -> None:
    drawn = random.Random(0)
    judged = [
        Judgement(f"q{query}", rank, drawn.random() < 0.6, rank)
        for query in range(7)
        for rank in drawn.sample(range(1, 30), 8)
    ]
    for depth in (1, 5, 20):
        shares = []
        for query in {one.query for one in judged}:
            early = [
                one.right for one in judged if one.query == query and one.rank is not None and one.rank <= depth
            ]
            if early:
                shares.append(early.count(True) / len(early))
        expected = sum(shares) / len(shares) if shares else None
        assert judged_precision(judged, [depth])[f"precision@{depth}"] == (
            expected if expected is None else pytest.approx(expected)
        )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "lacks id, mark, query"),
        ("query,id\na,1\n", "lacks mark"),
        ("query,id,mark\n", "no judgements"),
        ("query,id,mark\na,1,maybe\n", "'maybe'; it must be right or wrong"),
        ("query,id,mark\na,x,right\n", "the id is 'x'"),
        ("query,id,mark\na,-1,right\n", "the id is '-1'"),
        ("query,id,mark,rank\na,1,right,0\n", "the rank is '0'"),
        ("query,id,mark\n,1,right\n", "which query"),
        ("query,id,mark\na,1,right\na,1,wrong\n", "twice"),
        ("[1]", "no list"),
        ('{"judgements": 3}', "no list"),
        ("{", "damaged JSON"),
        ('[{"query": "a", "id": true, "mark": "right"}]', "the id is True"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "file").write_text(text)
    with pytest.raises(BadInput, match=says) as error:
        read_judgements(tmp_path / "file")
    assert is_one_sentence(error)


def test_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="No such file"):
        read_judgements(tmp_path / "nowhere.csv")
