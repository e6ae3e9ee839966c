"""What the README and the docs tell a reader to do works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.main import get_command

from hashlens.cli import application

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def test_the_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hashlens.backbones.backbone.native_image_size", lambda _: 32)  # a fraction of the time
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    expected, worst, best = map(float, capsys.readouterr().out.split())
    assert 0.5 < worst <= expected <= best <= 1
    assert (names["model"].encode(names["test"]) == names["model"].encode(names["test"])).all()
    assert (tmp_path / "model" / "config.json").is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_commands_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert target.startswith("https://") or (page.parent / target).is_file(), target
    commands = get_command(application()).commands  # type: ignore[attr-defined]
    for line in re.findall(r"hashlens ([a-z]+ [^\n`]*)", text):
        verb, *words = line.split("#")[0].split()
        if verb in commands:
            options = {option for parameter in commands[verb].params for option in parameter.opts}
            options |= {option for parameter in commands[verb].params for option in parameter.secondary_opts}
            for word in words:
                assert not word.startswith("-") or word.rstrip(".,;") in options, f"{verb} {word}"


def test_every_command_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in get_command(application()).commands:  # type: ignore[attr-defined]
        assert f"hashlens {name}" in text or f"make {name}" in text
