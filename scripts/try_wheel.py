"""Build the package, check what would be uploaded, and use what its wheel installs.

    python scripts/try_wheel.py

The wheel is installed by pip, with its dependencies, into an environment that has nothing else, first alone and
then with its extras; only servers that extras talk to are not started. It takes some minutes and 7 GB of disk.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = "heif,lancedb,lite1,lite2,milvus,postgresql,wordnet"


def main() -> None:
    started = time.monotonic()

    def said(what: str) -> None:
        print(f"{time.monotonic() - started:4.0f} s  {what}", flush=True)

    with tempfile.TemporaryDirectory() as work:
        dist, home, empty = Path(work, "dist"), Path(work, "home"), Path(work, "environment")
        home.mkdir()
        run(sys.executable, "-m", "build", "--quiet", "--outdir", dist, ROOT)
        run(sys.executable, "-m", "twine", "check", "--strict", *dist.iterdir())
        (wheel,) = dist.glob("*.whl")
        said("built and checked")

        venv.create(empty, with_pip=True)
        programs = empty / ("Scripts" if os.name == "nt" else "bin")
        python, hashlens = programs / "python", programs / "hashlens"
        run(python, "-m", "pip", "install", "--quiet", "--no-compile", wheel)
        said("installed alone")

        told = run(python, "-c", "import hashlens; print(hashlens.__file__)", cwd=home)
        assert Path(told.strip()).is_relative_to(empty), f"{told} is not the wheel's"
        for words in (
            "--version",
            "fit digits:train -o model --epochs 1 --image-size 32 --bits 16 --device cpu",
            "index model digits:train -o index",
            "search index digits:test --json",
            "evaluate model --database digits:train --queries digits:test -o report",
            "copy index codes.parquet",
        ):
            run(hashlens, *words.split(), cwd=home)
        assert (home / "report" / "report.html").stat().st_size > 10_000
        assert "<!doctype html>" in run(python, "-c", SERVED, cwd=home).lower()
        said("learned, indexed, searched, measured, copied, served")

        run(python, "-m", "pip", "install", "--quiet", "--no-compile", f"{wheel}[{EXTRAS}]")
        run(python, "-c", "import psycopg_pool, pymilvus", cwd=home)
        run(python, "-c", PHOTOGRAPHS, cwd=home)
        for words in (
            "fit photos -o larger --backbone efficientnet_lite2 --epochs 1 --image-size 32 --bits 16 --device cpu",
            f"copy index lancedb://{home}/codes",
        ):
            run(hashlens, *words.split(), cwd=home)
        assert "feline.n.01" in run(hashlens, "taxonomy", "photos", cwd=home)
        said("read HEIC, knew WordNet, ran a larger backbone, wrote LanceDB")


SERVED = """
from fastapi.testclient import TestClient
import hashlens as hl
print(TestClient(hl.service.create_app(hl.Catalogue.open("index")), base_url="http://127.0.0.1").get("/").text)
"""
PHOTOGRAPHS = """
import pathlib, pillow_heif, PIL.Image
pillow_heif.register_heif_opener()
for number, name in enumerate(["cat", "dog", "lion"] * 4):
    path = pathlib.Path("photos", name, f"{number}.heic")
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("RGB", (64, 64), (number * 20, 99, 0)).save(path)
"""


def run(*words: object, cwd: Path = ROOT) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if cwd != ROOT:
        environment |= {"HOME": str(cwd), "HASHLENS_CACHE": str(cwd / ".cache")}
    done = subprocess.run([str(word) for word in words], cwd=cwd, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(str(word) for word in words)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
