"""Build the package, check what would be uploaded, and use what its wheel installs.

    python scripts/try_wheel.py

Python's own venv is made with nothing in it but the wheel; what the wheel depends on is taken from the environment
that runs this, so that no gigabytes are fetched: whether the named dependencies can be installed is not tried, only
whether they are all named that the commands import.
"""

from __future__ import annotations

import os
import site
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    with tempfile.TemporaryDirectory() as work:
        dist, home, empty = Path(work, "dist"), Path(work, "home"), Path(work, "environment")
        run(sys.executable, "-m", "build", "--quiet", "--outdir", dist, ROOT)
        run(sys.executable, "-m", "twine", "check", "--strict", *dist.iterdir())
        venv.create(empty, with_pip=True)
        (wheel,) = dist.glob("*.whl")
        python = empty / ("Scripts" if os.name == "nt" else "bin") / "python"
        run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel)
        (packages,) = (path for path in empty.rglob("site-packages") if path.is_dir())
        # Behind the wheel's own folder, and by addsitedir's absence without this repository's editable install.
        (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()) + "\n", encoding="utf-8")
        home.mkdir()
        told = run(python, "-c", "import hashlens; print(hashlens.__file__)", cwd=home)
        assert Path(told.strip()).is_relative_to(empty), f"{told} is not the wheel's"
        command = python.with_name("hashlens")
        for words in (
            "--version",
            "fit digits:train -o model --epochs 1 --image-size 32 --bits 16 --device cpu",
            "index model digits:train -o index",
            "search index digits:test --json",
            "evaluate model --database digits:train --queries digits:test -o report",
            "info index",
        ):
            run(command, *words.split(), cwd=home)
        assert (home / "report" / "report.html").stat().st_size > 10_000
        assert "<!doctype html>" in run(python, "-c", SERVED, cwd=home).lower()
    print("The wheel installs, and learns, indexes, searches, serves and measures.")


SERVED = """
from fastapi.testclient import TestClient
import hashlens as hl
print(TestClient(hl.service.create_app(hl.Catalogue.open("index")), base_url="http://127.0.0.1").get("/").text)
"""


def run(*words: object, cwd: Path = ROOT) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["HASHLENS_CACHE"] = str(cwd / ".cache") if cwd != ROOT else ""
    done = subprocess.run([str(word) for word in words], cwd=cwd, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(str(word) for word in words)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
