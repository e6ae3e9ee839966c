"""Indexed images on disk: what they are, and their codes."""

from __future__ import annotations

import copy
import itertools
import json
import logging
import os
import re
import secrets
import shlex
import shutil
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens import engines
from hashlens.catalogue.checksums import IMAGES, LABELS, PENDING, Rows
from hashlens.catalogue.comparison import Comparison
from hashlens.catalogue.database import Database, as_bytes, as_stored, as_text, create, note, properties
from hashlens.catalogue.parts import Part, listing_digest
from hashlens.catalogue.ranking import Page, Ranking, details_of
from hashlens.catalogue.ray_encoding import RayEncoder
from hashlens.codes.packing import bytes_per_code
from hashlens.engines import HammingIndex, SearchEngine, Table
from hashlens.errors import BadInput, NotFound
from hashlens.files import as_shown, claimed, remove_abandoned
from hashlens.progress import Progress, silence
from hashlens.sources import Skipped, Source, UnreadableImage, as_source
from hashlens.sources.content import content_digest
from hashlens.sources.locations import is_gone, missing_folder

if TYPE_CHECKING:
    from hashlens.models import Encoder, HashModel

log = logging.getLogger("hashlens")

DATABASE_FILE = "catalogue.sqlite"
MODEL_FOLDER = "model"
PARTS_FOLDER = "encoding"  # what workers have encoded, until it is stored
CODES_FOLDER = re.compile(r"codes-\d+")
FORMER_CODES_FILE = re.compile(r"codes-\d+\.npy")  # of the first version
MOST_ROOM, FEWEST_HOLES = 2, 1000  # codes are laid out anew when they take more room than so many times the images
ROWS_AT_ONCE = 1 << 16
MOST_LOOKED_UP = 64  # images of a search, which need not be encoded if all of them are known
MOST_DETAILED = 5_000_000  # images whose details are kept


@dataclass
class Changes:
    """What an update of a catalogue did; numbers of images.

    Attributes:
        moved: images that are at another path now, known by their content, which were not encoded again.
        skipped: the images that could not be read.

    Example:
        >>> changes = Changes(added=3)
        >>> changes.added, changes.removed, changes.skipped
        (3, 0, [])
    """

    added: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0
    moved: int = 0
    skipped: list[Skipped] = field(default_factory=list)


@dataclass(frozen=True)
class Hit:
    """One result of a search.

    Attributes:
        rank: from 1.
        distance: in bits that differ, 0 … K.
        path: of the image file, or ``TABLE#ROW``.
        labels: names of the image's classes.
        id: of the image in the catalogue.

    Example:
        >>> hit = Hit(rank=1, distance=4, path="photos/cat/7.jpg", labels=("cat",), id=12)
        >>> vars(hit)["path"]
        'photos/cat/7.jpg'
    """

    rank: int
    distance: int
    path: str
    labels: tuple[str, ...]
    id: int


@dataclass(frozen=True)
class Entry:
    """What a catalogue knows of one image.

    Attributes:
        id, path, labels: as in a :class:`Hit`.
        source: identity of the source that it came from.
        fingerprint: of the image as it was encoded, see :meth:`hashlens.sources.Source.fingerprint`.
        code: (ceil(K/8),) uint8, packed.

    Example:
        >>> Entry(12, "photos/cat/7.jpg", ("cat",), "photos", (2048, 1), np.array([170], np.uint8)).labels
        ('cat',)
    """

    id: int
    path: str
    labels: tuple[str, ...]
    source: str
    fingerprint: tuple[int, int]
    code: NDArray[np.uint8]


@dataclass(frozen=True)
class Ties:
    """How many images stand where a list of results ends.

    Attributes:
        distance: the largest of the results.
        shown: how many of the results are at that distance.
        images: how many images that may be found are.

    Example:
        >>> Ties(distance=3, shown=2, images=1200).sentence
        '1,200 images are at distance 3, the largest shown; 2 of them are shown.'
    """

    distance: int
    shown: int
    images: int

    @property
    def sentence(self) -> str:
        """What a reader should know; empty if nothing is left out."""
        if self.images <= self.shown:
            return ""
        return (
            f"{self.images:,} images are at distance {self.distance}, the largest shown; {self.shown:,} of them "
            f"{'is' if self.shown == 1 else 'are'} shown."
        )


@dataclass(frozen=True)
class Answers:
    """What a search with images found.

    Attributes:
        answers: for every image that could be read where it is, and its hits.
        skipped: the others.
        ties: for every answer, how many images are as far away as the farthest hit; none where that is not known.

    Example:
        >>> found = Answers([("query.jpg", [Hit(1, 4, "photos/cat/7.jpg", ("cat",), id=12)])], skipped=[])
        >>> [(query, hit.path) for query, hits in found.answers for hit in hits]
        [('query.jpg', 'photos/cat/7.jpg')]
    """

    answers: list[tuple[str, list[Hit]]]
    skipped: list[Skipped]
    ties: list[Ties] = field(default_factory=list)


class Catalogue:
    """A folder with a database of indexed images and the model; an engine holds their codes for searching.

    The database (SQLite) is the truth. The engine, by default a :class:`hashlens.HammingIndex` in the folder,
    holds the codes again, by the id that an image has in the database; it is brought up to date with what changed
    when something is searched, and ours is made again when it is missing or damaged. Every batch of images is one
    transaction, so a process that is killed loses at most the batch it was at. One catalogue may serve several
    threads.

    Use :meth:`create` or :meth:`open`.

    Attributes:
        folder: where it is.
        name: of the folder, which may be told to those who should not know where it is.
        bits: code length K.
        adapted: whether the model was adapted to the images first.

    Example:
        >>> import tempfile, numpy as np, hashlens as hl
        >>> x = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
        >>> source = hl.sources.FeatureArray("mine", x, np.arange(60) % 2, ["cat", "dog"])
        >>> model = hl.fit(source, "orthohash", bits=16, epochs=1, device="cpu")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     catalogue = hl.Catalogue.create(folder, model)
        ...     catalogue.update(source).added
        ...     catalogue.search(model.encode(x[3]), k=1)[0][0].labels
        60
        ('dog',)
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = as_shown(folder.resolve().name)
        self._database = Database(folder / DATABASE_FILE)
        with self._database.connect() as rows:
            facts = properties(rows)
        self.bits = int(facts["bits"])
        self.adapted = bool(facts["adapted"])
        self._model_fingerprint = str(facts["model"])
        self._copy_fingerprint = facts.get("copy")
        self._engine_address = facts.get("engine", "")
        self._detailed = bool(facts.get("detailed", True))
        self._lock = threading.Lock()
        self._opened: tuple[tuple[int, str], SearchEngine] | None = None
        self._elsewhere: SearchEngine | None = None

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Catalogue:
        """Open an index.

        Raises:
            BadInput: there is none, or it is damaged or of a later version.
        """
        if not Path(folder, DATABASE_FILE).is_file():
            raise BadInput(f"There is no index at {folder}; make one with hashlens index.")
        return cls(Path(folder))

    @classmethod
    def create(
        cls,
        folder: str | os.PathLike[str],
        model: HashModel,
        adapt_to: Any = None,
        device: str | None = None,
        engine: str = "",
        details: bool = True,
    ) -> Catalogue:
        """Start an empty index; where one exists already, open it and check that it is of the same model.

        Args:
            folder: is made if need be; must be empty or an index. It appears at once and complete.
            model: a copy of it is kept in the index.
            adapt_to: items to re-estimate the copy's batch norm on, see :meth:`HashModel.adapt`.
            device: for that.
            details: keep a byte for each bit beside the codes of the first five million images, by which
                :meth:`search_images` and :meth:`search_ids` order what codes cannot tell apart.
            engine: address of the engine that holds the codes, see :func:`hashlens.engines.open`; by default ours,
                in the folder.

        Raises:
            BadInput: the folder holds something else, an index of another model or engine, or an index that is to
                be adapted after images were encoded.
        """
        folder = Path(folder)
        if (folder / DATABASE_FILE).is_file():
            existing = cls.open(folder)
            existing._check_same(model, adapt_to is not None, engine)
            return existing
        try:
            with appearing(folder) as work:
                if engine:
                    engines.open(engine, model.bits)  # fails fast, before anything is written
                kept = model
                model.save(work / MODEL_FOLDER)
                if adapt_to is not None:
                    from hashlens.models import HashModel

                    kept = HashModel.load(work / MODEL_FOLDER).adapt(adapt_to, device)
                    kept.save(work / MODEL_FOLDER)
                facts = {
                    "bits": model.bits, "model": model.fingerprint(), "copy": kept.fingerprint(),
                    "adapted": adapt_to is not None, "engine": engine, "detailed": details,
                }  # fmt: skip
                create(work / DATABASE_FILE, facts)
        except OSError:  # another process was faster
            if not (folder / DATABASE_FILE).is_file():
                raise
            existing = cls.open(folder)
            existing._check_same(model, adapt_to is not None, engine)
            return existing
        return cls(folder)

    def searched_in(self, engine: SearchEngine) -> Catalogue:
        """This catalogue, whose searches are answered by another engine that holds its codes by the same ids.

        Such as a table that :func:`hashlens.catalogue.copy_to` filled. It is taken as it is: what changed in the
        catalogue since is not found before it is copied too, and what is gone from the catalogue is left out.

        Raises:
            BadInput: the codes there are of another length or another model, or not copied whole.

        Example:
            >>> import tempfile, hashlens as hl
            >>> from hashlens.catalogue import copy_to
            >>> x = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
            >>> source = hl.sources.FeatureArray("mine", x, np.arange(60) % 2, ["cat", "dog"])
            >>> model = hl.fit(source, "orthohash", bits=16, epochs=1, device="cpu")
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     catalogue = Catalogue.create(f"{folder}/index", model)
            ...     _ = catalogue.update(source)
            ...     table = hl.engines.open(f"{folder}/codes.npy", bits=16)
            ...     _ = copy_to(catalogue, table)
            ...     catalogue.searched_in(table).search(model.encode(x[3]), k=1)[0][0].labels
            ('dog',)
        """
        if isinstance(engine, Table):
            engine.check_searchable(self.bits, self.copy_fingerprint)
        elif engine.bits != self.bits:
            raise BadInput(f"{engine} holds codes of {engine.bits} bits, and {self.folder} of {self.bits}.")
        there = Catalogue(self.folder)
        there._elsewhere = engine
        return there

    def _check_same(self, model: HashModel, adapt: bool, engine: str) -> None:
        """Raise :class:`BadInput` unless the index was started with this model, adapted or not, and this engine."""
        if model.bits != self.bits:
            raise BadInput(
                f"{self.folder} holds codes of {self.bits} bits, but the model makes {model.bits}; "
                "start a new index for it."
            )
        if model.fingerprint() != self._model_fingerprint:
            raise BadInput(f"{self.folder} was built with another model; start a new index for this one.")
        if adapt and not self.adapted:
            raise BadInput(
                f"{self.folder} was built without adapting, so adapting now would make its codes incomparable; "
                "start a new index, or leave --adapt out."
            )
        if engine and engine != self._engine_address:
            raise BadInput(
                f"The codes of {self.folder} are held by {self._engine_address or 'our own engine'}, not by "
                f"{engine}; start a new index for it."
            )

    def model(self) -> HashModel:
        """The model that encoded the images, from the copy in the index.

        Raises:
            BadInput: the copy is missing or damaged, or another model stands in its place.
        """
        from hashlens.models import HashModel  # and with it PyTorch, which most of a catalogue's work does without

        kept = HashModel.load(self.folder / MODEL_FOLDER)
        if self._copy_fingerprint not in (None, kept.fingerprint()):
            raise BadInput(f"{self.folder / MODEL_FOLDER} is not the model that encoded the images of this index.")
        return kept

    def facts_of_model(self) -> dict[str, Any]:
        """What the database notes of the model and its codes, by name."""
        return {
            "bits": self.bits, "model": self._model_fingerprint, "copy": self.copy_fingerprint,
            "adapted": self.adapted,
        }  # fmt: skip

    @property
    def copy_fingerprint(self) -> str:
        """Fingerprint of the model in the index, which encoded the images."""
        return str(self._copy_fingerprint or self.model().fingerprint())

    def __len__(self) -> int:
        with self._database.connect() as rows:
            rows.execute("BEGIN")
            images = int(rows.execute("SELECT count(*) FROM images").fetchone()[0])
            rows.check_tally(IMAGES, images)
            return images

    def __repr__(self) -> str:
        return f"Catalogue({str(self.folder)!r}, {len(self):,} codes of {self.bits} bits)"

    def sources(self) -> dict[str, int]:
        """Number of images from each source."""
        with self._database.connect() as rows:
            rows.execute("BEGIN")
            rows.check_sum(IMAGES)
            found = Counter(source for (source,) in rows.checked("SELECT source, {images} FROM images"))
            return {as_text(source): found[source] for source in sorted(found, key=as_text)}

    def labels(self, containing: str = "", limit: int | None = None) -> dict[str, int]:
        """Number of images with each label, by name.

        Args:
            containing: only labels that have this in their name, in small or capital letters; those that begin with
                it come first.
            limit: most labels to count; all by default.
        """
        part = containing.casefold()
        with self._database.connect() as rows:
            rows.create_function("place", 1, lambda name: as_text(name).casefold().find(part), deterministic=True)
            rows.execute("BEGIN")
            rows.check_sum(LABELS)
            found = rows.checked(
                "SELECT name, {count}, {labels} AND {tally} FROM labels "
                "WHERE place(name) >= 0 AND ({count} > 0 OR NOT {tally}) "
                "ORDER BY ? AND place(name) > 0, name LIMIT ?",
                (part != "", -1 if limit is None else limit),
            )
            return {as_text(name): count for name, count in found}

    def entries(self, ids: Sequence[int]) -> list[Entry]:
        """What is known of these images, in the order of their ids; ids that no image has are left out."""
        with self._database.connect() as rows:
            rows.execute("BEGIN")
            described = _described(rows, ids)
            found = rows.checked(
                "SELECT images.id, source, size, mtime, code, {images} FROM json_each(?) AS wanted "
                "JOIN images ON images.id = wanted.value ORDER BY images.id",
                (json.dumps(sorted(set(ids))),),
            )
            entries = [
                Entry(image, *described[image], as_text(source), (size, mtime), self._as_codes([code])[0])
                for image, source, size, mtime, code in found
            ]
            if len(entries) < len(set(ids)):
                rows.check_sum(IMAGES)
            return entries

    def codes(self, at_once: int = ROWS_AT_ONCE) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
        """Ids, (n,), and packed codes, (n, ceil(K/8)), of all images by id, in batches of up to ``at_once``."""
        with self._database.connect() as rows:
            rows.execute("BEGIN")
            rows.check_sum(IMAGES)
            stored = rows.checked("SELECT id, code, {images} FROM images ORDER BY id")
            while batch := list(itertools.islice(stored, at_once)):
                yield np.array([image for image, _ in batch], np.int64), self._as_codes([code for _, code in batch])

    def check(self) -> None:
        """Look at all that is known of images, as is done before any of it is changed or merged.

        Otherwise each is looked at when it is read.

        Raises:
            BadInput: the database is damaged, or was changed by another program.

        Example:
            >>> import tempfile, hashlens as hl
            >>> x = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
            >>> source = hl.sources.FeatureArray("mine", x, np.arange(60) % 2, ["cat", "dog"])
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     catalogue = Catalogue.create(folder, hl.fit(source, "lsh", bits=16, device="cpu"))
            ...     _ = catalogue.update(source)
            ...     catalogue.check()
        """
        with self._database.connect() as rows:
            rows.execute("BEGIN")
            rows.check_everything()

    def _prepare_to_change(self) -> None:
        self.check()  # or damaged rows would get new checksums
        self._database.bring_forward()

    def remove(self, source: str) -> int:
        """Remove all images that came from a source, which may be gone; how many those are.

        Args:
            source: as it was given when it was indexed, or as :meth:`sources` names it.

        Raises:
            NotFound: no image came from it.
        """
        table, _, split = source.rpartition(":")
        names = [source, str(Path(source).resolve())]
        if table:
            names += [f"{Path(table).resolve()}:{split}", str(Path(table, split).resolve())]
        known = self._named_sources()
        found = [name for name in names if name in known]
        if not found:
            if not known:
                raise NotFound(f"{self.folder} holds no images, so there are none of {source} to remove.")
            some = ", ".join(known[:5]) + (f" and {len(known) - 5} more" if len(known) > 5 else "")
            raise NotFound(f"No image in {self.folder} came from {source}; they came from {some}.")
        self._prepare_to_change()
        with self._database.connect() as rows, rows:
            removed = rows.execute("DELETE FROM images WHERE source = ?", (as_stored(found[0]),)).rowcount
            rows.execute("DELETE FROM skipped WHERE source = ?", (as_stored(found[0]),))
        self.prepare()
        return removed

    def _named_sources(self) -> list[str]:
        """Identities of all sources, those too of which no image could be read."""
        with self._database.connect() as rows:
            found = rows.execute("SELECT DISTINCT source FROM skipped").fetchall()
        return list(dict.fromkeys([*self.sources(), *(as_text(source) for (source,) in found)]))

    def prune(self) -> int:
        """Remove images whose file, or the table that they stand in, is gone; how many those are.

        Where the whole folder of a source is gone, it may be on a drive that is not there now: its images are kept,
        and a message says so.
        """
        self._prepare_to_change()
        images, unread = [], []  # ids, and paths
        with self._database.connect() as rows, rows:
            stored = rows.execute(
                "SELECT source, path, id FROM images "
                "UNION ALL SELECT source, path, NULL FROM skipped ORDER BY source"
            )
            for source, items in itertools.groupby(stored, lambda row: as_text(row[0])):
                paths = [(path, image) for _, path, image in items]
                gone = [(path, image) for path, image in paths if is_gone(as_text(path))]
                away = missing_folder(source, [as_text(path) for path, _ in gone]) if gone == paths else None
                if away is not None:
                    log.warning(
                        "%s is not there or is empty, so its images are kept: %s; --remove %s takes them out",
                        away, f"{sum(image is not None for _, image in paths):,}", shlex.quote(source),
                    )  # fmt: skip
                    continue
                images += [(image,) for _, image in gone if image is not None]
                unread += [(path,) for path, image in gone if image is None]
            rows.executemany("DELETE FROM images WHERE id = ?", images)
            rows.executemany("DELETE FROM skipped WHERE path = ?", unread)
        self.prepare()
        return len(images)

    def sample(self, count: int) -> list[int]:
        """Ids of some images, drawn at random from wherever in the catalogue; fewer where there are fewer."""
        with self._database.connect() as rows:
            first, last = rows.execute(  # each on its own, as SQLite finds both at once by looking at every row
                "SELECT (SELECT min(id) FROM images), (SELECT max(id) FROM images)"
            ).fetchone()
            if first is None:
                return []
            if last - first < count:
                return [image for (image,) in rows.execute("SELECT id FROM images ORDER BY id")]
            drawn = {first + secrets.randbelow(last - first + 1) for _ in range(count)}
            next_one = "SELECT id FROM images WHERE id >= ? ORDER BY id LIMIT 1"
            return sorted({rows.execute(next_one, (image,)).fetchone()[0] for image in drawn})

    def detailed(self) -> int:
        """Number of images whose details are kept."""
        with self._database.connect() as rows:
            return int(rows.execute("SELECT count(*) FROM details").fetchone()[0])

    def skipped(self) -> list[tuple[str, str]]:
        """Paths that could not be read when their source was last indexed, and why."""
        with self._database.connect() as rows:
            found = rows.checked("SELECT path, reason, {skipped} FROM skipped ORDER BY path")
            return [(as_text(path), reason) for path, reason in found]

    def update(
        self,
        source: Source,
        device: str | None = None,
        progress: Progress | None = None,
        part: Part | None = None,
        ray: str | None = None,
    ) -> Changes:
        """Make the catalogue hold what the source holds now.

        New images are added, but for those that are known by their content from a path that is gone: these keep
        their code and id; images whose size or time of change differ are encoded again; images that came
        from this source before and are gone are removed; labels follow the source. Images of other sources
        stay.

        Args:
            source: images, or features for a model of features.
            device: to encode on, see :meth:`HashModel.encoder`.
            progress: tells how far it is, such as :func:`hashlens.progress_bar`; silent by default.
            part: hold this part of the source only, for :func:`hashlens.catalogue.merge`.
            ray: encode on the Ray cluster at this address, see
                :func:`hashlens.compute.ray_cluster.connected`.

        Raises:
            BadInput: the catalogue holds another part, or other images than a part; or there is no such cluster.

        Example:
            >>> import tempfile, hashlens as hl
            >>> x = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
            >>> source = hl.sources.FeatureArray("mine", x, np.arange(60) % 2, ["cat", "dog"])
            >>> model = hl.fit(source, "orthohash", bits=16, epochs=1, device="cpu")
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     catalogue = Catalogue.create(folder, model)
            ...     catalogue.update(source.select(range(50))).added
            ...     catalogue.update(source.select(range(20, 60)))
            ...     catalogue.labels()
            50
            Changes(added=10, changed=0, removed=20, unchanged=30, moved=0, skipped=[])
            {'cat': 20, 'dog': 20}
        """
        self._prepare_to_change()
        changes = Changes()
        listing = "" if part is None else listing_digest(source)
        with self._database.connect() as rows:
            self._take_part(rows, part)
            source = source if part is None else part.of(source)
            compared = Comparison(rows, source)
            with rows:
                changes.moved = compared.follow_moves()
                changes.removed = compared.remove_missing()
                compared.follow_labels()
            waiting = compared.waiting()
            known = {item for item, is_known in waiting if is_known}
            items = np.array([item for item, _ in waiting], np.int64)
            changes.unchanged = compared.count() - len(items) - changes.moved
            detailed = self._detailed and compared.images() + len(items) <= MOST_DETAILED
            if len(items):
                with (
                    self._encoder(device, ray) as encoder,
                    (progress or silence)("Indexing", len(items)) as advance,
                ):
                    for batch in encoder.batches(source.select(items)):
                        encoded = [int(item) for item in items[batch.items]]
                        skipped = [(int(items[one.item]), one) for one in batch.skipped]
                        with rows:
                            compared.store(encoded, batch.codes, batch.details if detailed else None, batch.digests)
                            compared.leave_out(skipped)
                        changes.changed += len(known.intersection(encoded))
                        changes.added += len(encoded) - len(known.intersection(encoded))
                        changes.removed += len(known.intersection(item for item, _ in skipped))
                        changes.skipped += [one for _, one in skipped]
                        advance(len(batch.items) + len(batch.skipped))
            if part is not None:
                with rows:
                    note(rows, listing=listing)
        self.prepare()
        return changes

    def _encoder(self, device: str | None, ray: str | None) -> Encoder | RayEncoder:
        model = self.model()
        if ray is None:
            return model.encoder(device)
        model.encoder(device).close()  # refuses a wrong device here, once
        return RayEncoder(self.folder / MODEL_FOLDER, model.fingerprint(), self.folder / PARTS_FOLDER, ray, device)

    def _take_part(self, rows: Rows, part: Part | None) -> None:
        """Note which part of a source the catalogue is about to hold, and that it does not yet."""
        with rows:
            noted = properties(rows).get("part")
            if part is None and noted is not None:
                raise BadInput(
                    f"{self.folder} is for part {noted} of a source; give --part {noted}, or start a new index."
                )
            if part is not None:
                if noted != str(part) and (noted is not None or len(self)):
                    holds = f"part {noted}" if noted else "images already"
                    raise BadInput(f"{self.folder} holds {holds}; start a new index for part {part}.")
                note(rows, part=str(part), listing="")

    def part(self) -> tuple[Part, str] | None:
        """Which part of a source the catalogue holds, and the digest of the source's listing, empty where it does
        not hold all of the part; ``None`` where it is none of a part."""
        with self._database.connect() as rows:
            facts = properties(rows)
        return (Part.read(facts["part"]), facts["listing"]) if "part" in facts else None

    def engine(self) -> SearchEngine:
        """The engine that holds the codes of all images, up to date; its ids are those of the images."""
        with self._up_to_date() as (_, engine):
            return engine

    def search(
        self,
        codes: ArrayLike,
        k: int = 10,
        labels: Sequence[str] = (),
        offset: int = 0,
        radius: int | None = None,
        details: NDArray[np.int8] | None = None,
    ) -> list[list[Hit]]:
        """The images nearest to each query.

        Args:
            codes, k: as for :meth:`hashlens.engines.SearchEngine.search`.
            labels: find only images that have one of these labels; all images if there are none.
            offset: leave out so many of the nearest; ranks go on from there.
            radius: largest distance, inclusive; any by default.
            details: (Q, K) of the queries, as :attr:`hashlens.models.Encoded.details` are. With them the nearest
                images by code, ten for each one asked for and at least a hundred, are ordered by the cosines of
                their details, so that distances need not ascend; codes alone leave many images at one distance,
                in the order of their ids.

        Returns:
            One list per query, of ``k`` hits or as many as there are.

        Raises:
            NotFound: no image has one of the labels.
            BadInput: as for the engine.

        Example:
            >>> import tempfile, hashlens as hl
            >>> x = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
            >>> source = hl.sources.FeatureArray("mine", x, np.arange(60) % 2, ["cat", "dog"])
            >>> model = hl.fit(source, "orthohash", bits=16, epochs=1, device="cpu")
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     catalogue = Catalogue.create(folder, model)
            ...     _ = catalogue.update(source)
            ...     hits = catalogue.search(model.encode(x[:2]), k=3, labels=["dog"])
            >>> [hit.rank for hit in hits[0]], {hit.labels for hit in hits[0] + hits[1]}
            ([1, 2, 3], {('dog',)})
        """
        page = Page(k, offset, radius, rescored=details is not None)
        with self._up_to_date() as (rows, engine):
            found = zip(*engine.search(codes, page.depth, **self._labelled(rows, labels)), strict=True)
            asked = itertools.repeat(None) if details is None else details
            return self._as_hits(rows, [page.of(rows, *one) for one in zip(found, asked, strict=False)], offset)

    def search_ids(
        self,
        ids: Sequence[int],
        k: int = 10,
        labels: Sequence[str] = (),
        offset: int = 0,
        radius: int | None = None,
        rescore: bool = True,
    ) -> list[list[Hit]]:
        """The images nearest to images of the catalogue, without encoding anything; an image does not find itself.

        Args:
            ids: as :attr:`Hit.id` gives them.
            k, labels, offset, radius: as for :meth:`search`.
            rescore: order the nearest by their details, as :meth:`search` does, where they have been kept.

        Raises:
            NotFound: no image has one of the ids, or as for :meth:`search`.
            BadInput: as for :meth:`search`.
        """
        with self._up_to_date() as (rows, engine):
            asked = [self._image_with(rows, image) for image in ids]
            return self._others(rows, engine, asked, labels, Page(k, offset, radius, rescore))

    def search_images(
        self,
        items: Sequence[Any],
        k: int = 10,
        labels: Sequence[str] = (),
        device: str | None = None,
        rescore: bool = True,
    ) -> Answers:
        """The images nearest to images, which the model in the index encodes.

        Up to 64 images that all have the very content of indexed ones have their codes there, and neither the model
        nor PyTorch is loaded.

        Args:
            items: sources, or what :func:`hashlens.sources.as_source` makes them of.
            k, labels: as for :meth:`search`.
            device: see :meth:`hashlens.HashModel.encoder`.
            rescore: order the nearest by their details, as :meth:`search` does, where they have been kept.

        Raises:
            BadInput: as for :meth:`search`.

        Example:
            >>> import tempfile, hashlens as hl
            >>> x = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
            >>> source = hl.sources.FeatureArray("mine", x, np.arange(60) % 2, ["cat", "dog"])
            >>> model = hl.fit(source, "orthohash", bits=16, epochs=1, device="cpu")
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     catalogue = Catalogue.create(folder, model)
            ...     _ = catalogue.update(source)
            ...     found = catalogue.search_images([source.select([7])], k=3)
            >>> [(query, len(hits), hits[0].distance) for query, hits in found.answers]
            [('mine#7', 3, 0)]
        """
        answers: list[tuple[str, list[Hit]]] = []
        skipped: list[Skipped] = []
        ties: list[Ties] = []
        sources = [as_source(one) for one in items]
        stored = self._stored(sources) if device is None else None
        if stored is not None:
            codes, details = stored
            found = self.search(codes, k, labels, details=details if rescore else None)
            queries = [source.location(item) for source in sources for item in range(len(source))]
            return Answers(list(zip(queries, found, strict=True)), [], self._ties(codes, found, labels))
        with self.model().encoder(device) as encoder:
            for source in sources:
                for batch in encoder.batches(source):
                    skipped += batch.skipped
                    details = batch.details if rescore else None
                    found = self.search(batch.codes, k, labels, details=details) if len(batch.items) else []
                    queries = [source.location(int(item)) for item in batch.items]
                    answers += zip(queries, found, strict=True)
                    ties += self._ties(batch.codes, found, labels)
        return Answers(answers, skipped, ties)

    def _stored(self, sources: Sequence[Source]) -> tuple[NDArray[np.uint8], NDArray[np.int8] | None] | None:
        """Codes of a few images, and details if all have them, where each has the content of an indexed one."""
        count = sum(map(len, sources))
        if not 0 < count <= MOST_LOOKED_UP or any(source.feature_dimension is not None for source in sources):
            return None
        codes, details = [], []
        with self._database.connect() as rows:
            for source in sources:
                for item in range(len(source)):
                    try:
                        digest = content_digest(source.read(item))
                    except UnreadableImage:
                        return None
                    row = next(
                        rows.checked(
                            "SELECT images.id, code, {images} AND {contents} FROM contents "
                            "JOIN images ON images.id = contents.image WHERE digest = ? ORDER BY images.id LIMIT 1",
                            (digest,),
                        ),
                        None,
                    )
                    if row is None:
                        return None
                    codes.append(row[1])
                    details.append(details_of(rows, row[:1], self.bits).get(row[0]))
        known = [detail for detail in details if detail is not None]
        return self._as_codes(codes), np.stack(known) if len(known) == count else None

    def _ties(self, codes: NDArray[np.uint8], found: Sequence[Sequence[Hit]], labels: Sequence[str]) -> list[Ties]:
        """How many images are as far from each query as the farthest of its hits."""
        ties = []
        with self._up_to_date() as (rows, engine):
            labelled = self._labelled(rows, labels)
            for code, hits in zip(codes, found, strict=True):
                distances = [hit.distance for hit in hits]
                farthest = max(distances, default=0)
                (near,), _ = engine.within(code[None], farthest, **labelled)
                ties.append(Ties(farthest, distances.count(farthest), int(np.count_nonzero(near == farthest))))
        return ties

    def search_paths(
        self,
        paths: Sequence[str | os.PathLike[str]],
        k: int = 10,
        labels: Sequence[str] = (),
        rescore: bool = True,
    ) -> list[list[Hit]]:
        """The images nearest to images of the catalogue, without encoding anything; an image does not find itself.

        Args:
            paths: as :attr:`Hit.path` gives them; those of files may be relative.
            k, labels: as for :meth:`search`.
            rescore: as for :meth:`search_ids`.

        Raises:
            NotFound: a path is not in the catalogue, or as for :meth:`search`.
            BadInput: as for :meth:`search`.
        """
        with self._up_to_date() as (rows, engine):
            asked = [self._image_at(rows, os.fspath(path)) for path in paths]
            return self._others(rows, engine, asked, labels, Page(k, rescored=rescore))

    def _others(
        self,
        rows: Rows,
        engine: SearchEngine,
        asked: Sequence[tuple[int, bytes]],
        labels: Sequence[str],
        page: Page,
    ) -> list[list[Hit]]:
        """The images nearest to each of some images, given by id and code, without that image itself."""
        if not asked:
            return []
        codes = self._as_codes([code for _, code in asked])
        found = engine.search(codes, page.depth + 1, **self._labelled(rows, labels))
        details = details_of(rows, [own for own, _ in asked], self.bits)
        ranked = []
        for (own, _), distances, ids in zip(asked, *found, strict=True):
            others = np.flatnonzero(ids != own)[: page.depth]
            ranked.append(page.of(rows, (distances[others], ids[others]), details.get(own)))
        return self._as_hits(rows, ranked, page.offset)

    def _as_hits(self, rows: Rows, found: Sequence[Ranking], offset: int = 0) -> list[list[Hit]]:
        """Distances and ids of each query as hits; a copy of the codes may hold ids that the database does not."""
        described = _described(rows, [image for _, ids in found for image in ids.tolist()])
        answers = []
        for distances, ids in found:
            pairs = [pair for pair in zip(distances.tolist(), ids.tolist(), strict=True) if pair[1] in described]
            if self._elsewhere is None and len(pairs) < len(ids):
                raise rows.damaged()
            answers.append(
                [
                    Hit(rank, distance, *described[image], image)
                    for rank, (distance, image) in enumerate(pairs, start=offset + 1)
                ]
            )
        return answers

    def _image_at(self, rows: Rows, path: str) -> tuple[int, bytes]:
        for one in path, os.path.abspath(path):  # noqa: PTH100
            for row in rows.checked("SELECT id, code, {images} FROM images WHERE path = ?", (as_stored(one),)):
                return row
        raise NotFound(f"{path} is not in the index {self.folder}.")

    def _image_with(self, rows: Rows, image: int) -> tuple[int, bytes]:
        for row in rows.checked("SELECT id, code, {images} FROM images WHERE id = ?", (image,)):
            return row
        rows.check_sum(IMAGES)
        raise NotFound(f"There is no image with the id {image} in the index {self.name}.")

    def _labelled(self, rows: Rows, labels: Sequence[str]) -> dict[str, Any]:
        """What tells the engine to find only images that have one of the labels, if there are any."""
        if not labels:
            return {}
        found: list[int] = []
        for label in labels:
            named = rows.checked("SELECT id, {labels} AND {tally} FROM labels WHERE name = ?", (as_stored(label),))
            number = next(named, (0,))
            ids = [image for (image,) in rows.execute("SELECT image FROM image_labels WHERE label = ?", number)]
            if not ids:
                raise NotFound(f"No image in {self.name} has the label {label!r}.")
            found += ids
        if isinstance(self._elsewhere, Table):  # it knows the labels, and a list of ids may be a long one
            return {"labels": [as_shown(label) for label in labels]}
        return {"allow": np.array(found, np.int64)}

    @contextmanager
    def _up_to_date(self) -> Iterator[tuple[Rows, SearchEngine]]:
        """The engine as the database has it, in a transaction, so that what is read from that belongs to it."""
        with self._database.connect() as rows:
            rows.execute("BEGIN")
            engine = self._elsewhere
            if engine is None and not _has_pending(rows):
                engine = self._current_engine(rows)
            if engine is None:
                rows.rollback()
                rows.execute("BEGIN IMMEDIATE")  # one process at a time brings the engine up to date
                engine = self._bring_up_to_date(rows)
            try:
                yield rows, engine
            finally:
                rows.commit()

    def _current_engine(self, rows: Rows) -> SearchEngine | None:
        """The engine, if it holds what the database noted last. Who changes it changes a copy, if it is ours."""
        facts = properties(rows)
        noted = facts["codes"], facts["state"]
        with self._lock:
            if self._opened is not None and self._opened[0] == noted:
                return self._opened[1]
        try:
            if self._engine_address:
                engine = engines.open(self._engine_address, self.bits)
            else:
                engine = HammingIndex.open(self._codes_folder(facts["codes"]))
        except BadInput:
            if self._engine_address:
                raise
            return None  # missing or damaged; it can be made again
        if engine.bits != self.bits or len(engine) != facts["indexed"] or _state_of(engine) != facts["state"]:
            return None
        self._keep_open(noted, engine)
        return engine

    def _keep_open(self, noted: tuple[int, str], engine: SearchEngine) -> None:
        with self._lock:
            self._opened = noted, engine

    def _bring_up_to_date(self, rows: Rows) -> SearchEngine:
        """The engine with all changes, and what it holds noted; nobody else uses it if it is ours."""
        engine = self._current_engine(rows)
        if isinstance(engine, HammingIndex):
            engine = copy.copy(engine)
            if not _has_pending(rows):
                return engine
        images = rows.check_sum(IMAGES)
        rows.check_sum(PENDING)
        if engine is None and self._engine_address:
            engine = engines.open(self._engine_address, self.bits)
            rows.execute("INSERT OR IGNORE INTO pending SELECT id FROM images")
        if engine is None or (isinstance(engine, HammingIndex) and _is_sparse(engine, images)):
            return self._build_anew(rows)
        gone = np.array(
            [row[0] for row in rows.execute("SELECT image FROM pending EXCEPT SELECT id FROM images")], np.int64
        )
        engine.remove(gone[engine.contains(gone)])
        new = rows.checked(
            "SELECT id, code, {images} FROM images WHERE id IN (SELECT image FROM pending) ORDER BY id"
        )
        while batch := list(itertools.islice(new, ROWS_AT_ONCE)):
            engine.add(
                self._as_codes([code for _, code in batch]), np.array([image for image, _ in batch], np.int64)
            )
        engine.flush()
        self._note_state(rows, engine, images)
        return engine

    def _build_anew(self, rows: Rows) -> SearchEngine:
        """Our engine with the codes of all images in a new folder, since others may be searching the old one."""
        number = int(properties(rows)["codes"]) + 1
        for old in self.folder.iterdir():
            if CODES_FOLDER.fullmatch(old.name) and old.is_dir():
                shutil.rmtree(old, ignore_errors=True)
            elif FORMER_CODES_FILE.fullmatch(old.name):
                old.unlink(missing_ok=True)
        codes = _stored_codes(rows, bytes_per_code(self.bits))
        engine = HammingIndex.build(codes, self.bits, self._codes_folder(number), _stored_ids(rows))
        note(rows, codes=number)
        self._note_state(rows, engine, len(engine))
        return engine

    def _note_state(self, rows: Rows, engine: SearchEngine, images: int) -> None:
        state = _state_of(engine)
        rows.execute("DELETE FROM pending")
        note(rows, state=state, indexed=images)
        self._keep_open((int(properties(rows)["codes"]), state), engine)

    def prepare(self) -> None:
        """Let the engine prepare, as every change does: seconds for millions of codes, which took hours to make."""
        with self._database.connect() as rows:
            rows.execute("BEGIN IMMEDIATE")  # one process at a time may change the engine
            engine = self._bring_up_to_date(rows)
            engine.prepare()
            self._note_state(rows, engine, len(engine))
            rows.commit()

    def _as_codes(self, stored: Sequence[object]) -> NDArray[np.uint8]:
        return as_bytes(stored, bytes_per_code(self.bits))

    def _codes_folder(self, number: int) -> Path:
        return self.folder / f"codes-{number}"


@contextmanager
def appearing(folder: Path) -> Iterator[Path]:
    """A new folder beside this one, which takes its place, at once and complete, when the block has ended.

    Raises:
        BadInput: something stands in its place.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as beside:
        ...     with appearing(Path(beside, "index")) as work:
        ...         _ = (work / "a.txt").write_text("all of it")
        ...     os.listdir(beside), os.listdir(Path(beside, "index"))
        (['index'], ['a.txt'])
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(f"{folder} exists and is not an index; choose a new folder.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(folder.parent, re.compile(rf"\.{re.escape(folder.name)}\.[0-9a-f]{{16}}"))
    with claimed(lambda: _new_folder_beside(folder)) as work:
        try:
            yield work
            if folder.exists():
                folder.rmdir()
            work.rename(folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _new_folder_beside(folder: Path) -> Path:
    work = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}")
    work.mkdir()
    return work


def _has_pending(rows: Rows) -> bool:
    """Whether images have changed since the engine was brought up to date."""
    if rows.execute("SELECT EXISTS (SELECT 1 FROM pending)").fetchone()[0]:
        return True
    rows.check_tally(PENDING, 0)
    return False


def _is_sparse(engine: HammingIndex, images: int) -> bool:
    """Whether codes of images that are removed, or will be, take most of the room."""
    return len(engine) + engine.holes > MOST_ROOM * images + FEWEST_HOLES


def _state_of(engine: SearchEngine) -> str:
    """What identifies the content of our engine; others are trusted to hold what they were given."""
    return engine.state if isinstance(engine, HammingIndex) else ""


def _stored_codes(rows: Rows, code_bytes: int) -> Iterator[NDArray[np.uint8]]:
    """The codes of all images by id, in batches, the first of them empty."""
    yield np.empty((0, code_bytes), np.uint8)
    stored = rows.checked("SELECT code, {images} FROM images ORDER BY id")
    while batch := list(itertools.islice(stored, ROWS_AT_ONCE)):
        yield as_bytes([code for (code,) in batch], code_bytes)


def _stored_ids(rows: Rows) -> Iterator[NDArray[np.int64]]:
    """The ids of all images, in the batches of :func:`_stored_codes`."""
    yield np.empty(0, np.int64)
    cursor = rows.execute("SELECT id FROM images ORDER BY id")
    while batch := cursor.fetchmany(ROWS_AT_ONCE):
        yield np.array([image for (image,) in batch], np.int64)


def _described(rows: Rows, ids: Sequence[int]) -> dict[int, tuple[str, tuple[str, ...]]]:
    """Path and labels of each of these images that is there."""
    found = rows.checked(
        "SELECT images.id, images.path, name, {images} AND (label IS NULL OR {labels}) "
        "FROM json_each(?) AS wanted JOIN images ON images.id = wanted.value "
        "LEFT JOIN image_labels ON image = images.id LEFT JOIN labels ON labels.id = label "
        "ORDER BY images.id, place",
        (json.dumps(sorted(set(ids))),),
    )
    described: dict[int, tuple[str, tuple[str, ...]]] = {}
    for image, path, name in found:
        _, before = described.get(image, ("", ()))
        described[image] = as_text(path), before if name is None else (*before, as_text(name))
    return described
