"""Taxonomies against their definitions, written out over sets of ancestors."""

from __future__ import annotations

import itertools
import logging
import math
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashlens.classes import (
    Taxonomy,
    are_nested,
    class_distances,
    normalize_similarity,
    open_taxonomy,
    read_taxonomy,
    taxonomy_similarity,
    write_taxonomy,
)
from hashlens.errors import BadInput

Edges = Sequence[tuple[str, str]]


class Slow:
    """Every definition as it is written, by recursion."""

    def __init__(self, edges: Edges) -> None:
        self.nodes = {name for edge in edges for name in edge}
        self.above = {node: {parent for parent, child in edges if child == node} for node in self.nodes}
        self.below = {node: {child for parent, child in edges if parent == node} for node in self.nodes}

    def height(self, node: str) -> int:
        return max((1 + self.height(child) for child in self.below[node]), default=0)

    def depth(self, node: str) -> int:
        return 1 + max((self.depth(parent) for parent in self.above[node]), default=0)

    def up(self, node: str) -> dict[str, int]:
        """Fewest edges from a node to each of its ancestors."""
        steps = {node: 0}
        for parent in self.above[node]:
            for ancestor, count in self.up(parent).items():
                steps[ancestor] = min(count + 1, steps.get(ancestor, count + 1))
        return steps

    def between(self, a: str, b: str) -> int:
        first, second = self.up(a), self.up(b)
        return min(first[node] + second[node] for node in first.keys() & second.keys())

    def lcs_height(self, a: str, b: str) -> float:
        if a == b:
            return 0
        whole = max(self.height(node) for node in self.nodes)
        return min(self.height(node) for node in self.up(a).keys() & self.up(b).keys()) / whole

    def wu_palmer(self, a: str, b: str) -> float:
        if a == b:
            return 1
        common = self.up(a).keys() & self.up(b).keys()
        deepest = max(self.depth(node) for node in common)
        return max(
            2 * deepest / (2 * deepest + self.between(a, node) + self.between(b, node))
            for node in common
            if self.depth(node) == deepest
        )


def random_edges(seed: int, size: int, most_parents: int) -> list[tuple[str, str]]:
    """Edges of ``size`` nodes below one root; with one parent for each node, a tree."""
    rng = random.Random(seed)
    names = [f"node {number}" for number in range(size)]
    rng.shuffle(names)
    edges = [
        (names[parent], names[child])
        for child in range(1, size)
        for parent in rng.sample(range(child), min(child, rng.randint(1, most_parents)))
    ]
    rng.shuffle(edges)
    return edges


trees = st.builds(random_edges, st.integers(0, 10_000), st.integers(2, 16), st.just(1))
dags = st.builds(random_edges, st.integers(0, 10_000), st.integers(2, 12), st.integers(1, 3))

# Two ways lead from the root to d: over b and c, and straight over a.
DIAMOND = [("root", "a"), ("root", "b"), ("b", "c"), ("a", "d"), ("c", "d"), ("a", "e"), ("c", "f")]


def test_a_dag_by_hand() -> None:
    taxonomy = Taxonomy.from_edges(DIAMOND)
    assert (taxonomy.root, taxonomy.leaves, taxonomy.height) == ("root", ("d", "e", "f"), 3)
    assert not taxonomy.is_tree
    assert {node: taxonomy.height_of(node) for node in "abcd"} == {"a": 1, "b": 2, "c": 1, "d": 0}
    assert {node: taxonomy.depth(node) for node in ("root", *"abcdef")} == {
        "root": 1, "a": 2, "b": 2, "c": 3, "d": 4, "e": 3, "f": 4,
    }  # fmt: skip
    assert taxonomy.parents("d") == ("a", "c")
    assert taxonomy.children("a") == ("d", "e")
    assert [taxonomy.lcs(*pair) for pair in ("de", "df", "ef", "dd", "da")] == ["a", "c", "root", "d", "a"]
    third = 1 / 3
    np.testing.assert_allclose(
        taxonomy.distance_matrix(["d", "e", "f"]), [[0, third, third], [third, 0, 1], [third, 1, 0]]
    )
    assert taxonomy.wu_palmer("d", "e") == pytest.approx(4 / (4 + 1 + 1))
    assert taxonomy.wu_palmer("d", "f") == pytest.approx(6 / (6 + 1 + 1))
    assert taxonomy.wu_palmer("e", "f") == pytest.approx(2 / (2 + 2 + 3))


def test_of_several_common_subsumers_the_lowest_counts() -> None:
    # p is deeper, q is lower, and both lie above x and y.
    edges = [
        ("r", "m"),
        ("m", "p"),
        ("r", "q"),
        ("p", "x"),
        ("p", "y"),
        ("q", "x"),
        ("q", "y"),
        ("p", "s"),
        ("s", "t"),
    ]
    taxonomy = Taxonomy(edges)
    assert taxonomy.depth("p") > taxonomy.depth("q")
    assert taxonomy.lcs("x", "y") == "q"
    assert taxonomy.lcs_height("x", "y") == 1 / 4
    assert taxonomy.wu_palmer("x", "y") == pytest.approx(6 / 8)


def test_a_short_way_round_counts_for_wu_palmer() -> None:
    # From x to the deepest common subsumer s it is four steps, but by x – r – s only two.
    edges = [("r", "s"), ("r", "x"), ("s", "1"), ("1", "2"), ("2", "3"), ("3", "x"), ("s", "y")]
    assert Taxonomy(edges).wu_palmer("x", "y") == pytest.approx(4 / (4 + 2 + 1))
    assert Slow(edges).wu_palmer("x", "y") == pytest.approx(4 / (4 + 2 + 1))


@pytest.mark.parametrize("first", ["p", "q"])
def test_of_two_deepest_subsumers_the_nearer_counts_for_wu_palmer(first: str) -> None:
    edges = [("p", "x"), ("p", "y"), ("q", "m"), ("m", "x"), ("q", "y")]
    tops = [("r", first), ("r", "q" if first == "p" else "p")]
    assert Taxonomy([*tops, *edges]).wu_palmer("x", "y") == pytest.approx(4 / (4 + 1 + 1))


@given(edges=trees | dags, seed=st.integers(0, 100))
def test_everything_follows_its_definition(edges: Edges, seed: int) -> None:
    taxonomy, slow = Taxonomy(edges), Slow(edges)
    names = sorted(slow.nodes)
    random.Random(seed).shuffle(names)
    names = names[: 1 + seed % len(names)]
    assert set(taxonomy.nodes) == slow.nodes
    assert set(taxonomy.leaves) == {node for node in slow.nodes if not slow.below[node]}
    for node in names:
        assert taxonomy.height_of(node) == slow.height(node)
        assert taxonomy.depth(node) == slow.depth(node)
    distances = taxonomy.distance_matrix(names)
    np.testing.assert_allclose(distances, [[slow.lcs_height(a, b) for b in names] for a in names], atol=1e-12)
    np.testing.assert_array_equal(taxonomy.similarity_matrix(names), 1 - distances)
    expected = [[slow.wu_palmer(a, b) for b in names] for a in names]
    np.testing.assert_allclose(taxonomy.similarity_matrix(names, "wu-palmer"), expected, atol=1e-12)
    a, b = names[0], names[-1]
    assert taxonomy.lcs_height(a, b) == pytest.approx(slow.lcs_height(a, b))
    assert taxonomy.wu_palmer(a, b) == pytest.approx(slow.wu_palmer(a, b))
    lowest = taxonomy.lcs(a, b)
    assert lowest in slow.up(a).keys() & slow.up(b).keys()
    if a != b:
        assert slow.height(lowest) / taxonomy.height == pytest.approx(slow.lcs_height(a, b))


@given(edges=trees | dags)
def test_distances_of_leaves_are_distances(edges: Edges) -> None:
    taxonomy = Taxonomy(edges)
    distances = taxonomy.distance_matrix(taxonomy.leaves)
    np.testing.assert_array_equal(distances, distances.T)
    np.testing.assert_array_equal(distances == 0, np.eye(len(distances), dtype=bool))
    assert distances.max() <= 1
    if taxonomy.is_tree:
        around = np.maximum(distances[:, :, None], distances[None]).min(1)
        assert (distances <= around + 1e-12).all()


@given(edges=trees | dags)
def test_a_file_gives_back_what_was_written(edges: Edges, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("taxonomy") / "tree.csv"
    taxonomy = Taxonomy(edges)
    write_taxonomy(taxonomy, path)
    back = read_taxonomy(path)
    assert back == taxonomy
    assert back.nodes == taxonomy.nodes
    assert hash(back) == hash(taxonomy)


@pytest.mark.parametrize(
    "edges",
    [
        [("red, green", 'a "quoted" name'), ("red, green", "tab\there")],
        [("#1", "#2"), ("#1", "b")],
        [("動物", "犬"), ("動物", "chat\N{COMBINING ACUTE ACCENT}")],
        [("parent", "child"), ("parent", "label")],
    ],
)
def test_any_name_survives_a_file(edges: Edges, tmp_path: Path) -> None:
    taxonomy = Taxonomy(edges)
    write_taxonomy(taxonomy, tmp_path / "tree.csv")
    assert read_taxonomy(tmp_path / "tree.csv").edges == taxonomy.edges


def test_a_single_node(tmp_path: Path) -> None:
    taxonomy = Taxonomy([], ["alone"])
    assert (taxonomy.root, taxonomy.leaves, taxonomy.height, len(taxonomy)) == ("alone", ("alone",), 0, 1)
    assert taxonomy.lcs_height("alone", "alone") == 0
    assert taxonomy.wu_palmer("alone", "alone") == 1
    assert taxonomy.to_text() == "alone"
    write_taxonomy(taxonomy, tmp_path / "one.csv")
    assert read_taxonomy(tmp_path / "one.csv") == taxonomy


def test_a_star() -> None:
    taxonomy = Taxonomy([("hub", f"spoke {number}") for number in range(300)])
    distances = taxonomy.distance_matrix(taxonomy.leaves)
    np.testing.assert_array_equal(distances, 1 - np.eye(300))
    np.testing.assert_allclose(taxonomy.similarity_matrix(taxonomy.leaves, "wu-palmer"), (1 + np.eye(300)) / 2)


def test_a_deep_chain() -> None:
    length = 5_000
    taxonomy = Taxonomy([(str(number), str(number + 1)) for number in range(length)])
    assert (taxonomy.height, taxonomy.depth(str(length))) == (length, length + 1)
    assert taxonomy.lcs("17", str(length)) == "17"
    assert taxonomy.lcs_height("1000", "4000") == pytest.approx(4_000 / length)
    assert taxonomy.wu_palmer("1000", "4000") == pytest.approx(2 * 1_001 / (2 * 1_001 + 3_000))
    assert len(taxonomy.to_text().splitlines()) == length + 1
    with pytest.raises(BadInput, match=r"cycle.*…"):
        Taxonomy([*taxonomy.edges, (str(length), "0")])


def test_a_class_may_lie_above_others() -> None:
    taxonomy = Taxonomy([("animal", "dog"), ("dog", "poodle"), ("animal", "cat")])
    names = ["dog", "poodle", "cat"]
    np.testing.assert_allclose(taxonomy.distance_matrix(names), [[0, 0.5, 1], [0.5, 0, 1], [1, 1, 0]])
    assert np.diag(taxonomy.similarity_matrix(names, "wu-palmer")).tolist() == [1, 1, 1]


def test_classes_in_any_order_and_more_than_once() -> None:
    taxonomy = Taxonomy(DIAMOND)
    once = taxonomy.distance_matrix(["f", "d", "e"])
    for kind in ("lcs", "wu-palmer"):
        single = taxonomy.similarity_matrix(["f", "d", "e"], kind)
        double = taxonomy.similarity_matrix(["e", "f", "d", "f"], kind)
        np.testing.assert_array_equal(double, single[np.ix_([2, 0, 1, 0], [2, 0, 1, 0])])
    assert taxonomy.distance_matrix(["f", "f"]).tolist() == [[0, 0], [0, 0]]
    assert once.shape == (3, 3)


def test_a_large_matrix_is_worked_on_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    taxonomy = Taxonomy(random_edges(5, 120, 2))
    whole = taxonomy.distance_matrix(taxonomy.nodes), taxonomy.similarity_matrix(taxonomy.nodes, "wu-palmer")
    monkeypatch.setattr("hashlens.classes.subsumers.CELLS", 7)
    np.testing.assert_array_equal(taxonomy.distance_matrix(taxonomy.nodes), whole[0])
    np.testing.assert_array_equal(taxonomy.similarity_matrix(taxonomy.nodes, "wu-palmer"), whole[1])


def test_several_roots_are_joined(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "hashlens"):
        taxonomy = Taxonomy.from_edges([("fish", "trout"), ("fish", "pike"), ("bird", "owl"), ("(root)", "rock")])
    assert "3 roots (fish, bird, (root))" in caplog.text
    assert taxonomy.root not in ("fish", "bird", "(root)")
    assert taxonomy.children(taxonomy.root) == ("fish", "bird", "(root)")
    assert taxonomy.lcs_height("trout", "owl") == 1
    assert taxonomy.lcs_height("trout", "pike") == 0.5
    caplog.clear()
    Taxonomy.from_edges([("fish", "trout")])
    assert not caplog.text


def test_roots_above_no_class_do_not_count(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    own = [("animal", "fish"), ("fish", "trout"), ("fish", "pike"), ("animal", "owl")]
    stray = [("idea", "theory"), ("theory", "proof"), ("proof", "lemma"), ("idea", "extinct"), ("part", "dust")]
    taxonomy = Taxonomy([*own, *stray, ("fish", "extinct")], ["loner"])
    classes = ["trout", "pike", "owl"]
    assert taxonomy.distance_matrix(classes).max() < 1
    rows = [("parent", "child"), *own, *stray, ("fish", "extinct"), ("", "loner")]
    (tmp_path / "tree.csv").write_text("".join(f"{parent},{child}\n" for parent, child in rows))
    expected = Taxonomy([*own, ("fish", "extinct")])
    with caplog.at_level(logging.INFO, "hashlens"):
        assert taxonomy.without_stray_roots(classes) == expected
    assert "3 of the taxonomy's roots (idea, part, loner)" in caplog.text
    assert open_taxonomy(tmp_path / "tree.csv", classes) == expected
    for given_as in (taxonomy, tmp_path / "tree.csv"):
        np.testing.assert_array_equal(class_distances(given_as, classes), expected.distance_matrix(classes))
    assert taxonomy.without_stray_roots(["trout", "lemma"]).children("(root)") == ("animal", "idea")
    assert taxonomy.without_stray_roots(["trout", "lemma", "dust", "loner"]) is taxonomy
    with pytest.raises(BadInput, match="'cod' is not in the taxonomy"):
        taxonomy.without_stray_roots(["trout", "cod"])


def test_numbers_are_names() -> None:
    assert Taxonomy.from_edges([(0, 1), (0, np.int64(2))]).leaves == ("1", "2")


@pytest.mark.parametrize(
    ("edges", "cycle"),
    [
        ([("a", "a")], "a → a"),
        ([("a", "b"), ("b", "a")], "(a → b → a|b → a → b)"),
        ([("r", "a"), ("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("d", "e")], "( → [abc]){3};"),
    ],
)
def test_cycles_are_refused_and_named(edges: Edges, cycle: str) -> None:
    with pytest.raises(BadInput, match=f"cycle, .*{cycle}"):
        Taxonomy.from_edges(edges)


@given(edges=dags, data=st.data())
def test_an_edge_back_up_closes_a_cycle_of_edges(edges: Edges, data: st.DataObject) -> None:
    slow = Slow(edges)
    child = data.draw(st.sampled_from(sorted(slow.nodes)))
    ancestor = data.draw(st.sampled_from(sorted(slow.up(child))))
    closed = [*edges, (child, ancestor)]
    with pytest.raises(BadInput) as refusal:
        Taxonomy(closed)
    way = str(refusal.value).partition("cycle, ")[2].partition(";")[0].split(" → ")
    assert way[0] == way[-1]
    if "…" not in way:
        assert set(itertools.pairwise(way)) <= set(closed)


@pytest.mark.parametrize(("edges", "nodes"), [([], []), ([("", "a")], []), ([], [""])])
def test_nothing_and_nameless_nodes_are_refused(edges: Edges, nodes: list[str]) -> None:
    with pytest.raises(BadInput):
        Taxonomy(edges, nodes)


def test_a_missing_class_is_named_with_those_like_it() -> None:
    taxonomy = Taxonomy([("animal", "leopard"), ("animal", "lion")])
    with pytest.raises(BadInput, match=r"'leopart'.*mean leopard"):
        taxonomy.distance_matrix(["lion", "leopart"])
    with pytest.raises(BadInput, match="'xyz'"):
        taxonomy.node_of("xyz")
    with pytest.raises(BadInput, match="lcs or wu-palmer"):
        taxonomy.similarity_matrix(["lion"], "resnik")  # type: ignore[arg-type]


def test_the_last_part_of_a_folder_finds_its_node() -> None:
    taxonomy = Taxonomy([("animal", "dog"), ("animal", "cat"), ("animal", "wild/cat")])
    assert taxonomy.node_of("pets/dog") == "dog"
    assert taxonomy.node_of("wild/cat") == "wild/cat"
    assert "pets/dog" not in taxonomy
    assert "dog" in taxonomy


def test_folders() -> None:
    names = ["animals/cats/lion", "animals/cats/tiger", "animals/dog", "plants/oak", "rock"]
    taxonomy = Taxonomy.from_paths(names)
    assert taxonomy.to_text().splitlines() == [
        "(root)",
        "  animals",
        "    animals/cats",
        "      animals/cats/lion",
        "      animals/cats/tiger",
        "    animals/dog",
        "  plants",
        "    plants/oak",
        "  rock",
    ]
    assert taxonomy.lcs_height("animals/cats/lion", "animals/dog") == pytest.approx(2 / 3)
    assert Taxonomy.from_paths(["a/b", "a/c"]).root == "a"
    assert Taxonomy.from_paths(["a", "a/b"]).leaves == ("a/b",)
    assert Taxonomy.from_paths(["a/b", "root/c", "/d", "e//f"]).depth("e//f") == 3


def test_a_column_of_parents() -> None:
    taxonomy = Taxonomy.from_parents(["dog", "cat", "pet", "oak", "cat"], ["pet", "pet", None, "", "hunter"])
    assert taxonomy.parents("cat") == ("pet", "hunter")
    assert set(taxonomy.children(taxonomy.root)) == {"pet", "hunter", "oak"}
    assert Taxonomy.from_parents(["a", "b"], [math.nan, "a"]).edges == (("a", "b"),)
    assert Taxonomy.from_parents(["a"], [None]).nodes == ("a",)
    with pytest.raises(BadInput, match="2 classes, but 1 parents"):
        Taxonomy.from_parents(["a", "b"], ["c"])


def test_text_shows_a_node_with_several_parents_once() -> None:
    assert Taxonomy([("r", "a"), ("r", "b"), ("a", "c"), ("b", "c"), ("c", "d")]).to_text(
        captions={"d": "the last"}
    ).splitlines() == ["r", "  a", "    c", "      d (the last)", "  b", "    c ↑"]


def test_a_long_text_is_cut_near_the_leaves() -> None:
    edges = [("r", "a"), ("r", "b"), *(("a", f"a{n}") for n in range(5)), *(("b", f"b{n}") for n in range(40))]
    taxonomy = Taxonomy(edges)
    lines = taxonomy.to_text(limit=10).splitlines()
    assert lines == ["r", "  a", *(f"    a{n}" for n in range(5)), "  b", "    b0", "    b1", "    … 38 more"]
    assert taxonomy.to_text(limit=3).splitlines() == ["r", "  a … 5 below", "  b … 40 below"]
    assert taxonomy.to_text(limit=1) == "r … 47 below"
    assert taxonomy.to_text(limit=48) == taxonomy.to_text()


@given(edges=trees | dags, limit=st.integers(1, 30))
def test_a_text_has_at_most_as_many_nodes_as_asked_for(edges: Edges, limit: int) -> None:
    taxonomy = Taxonomy(edges)
    assert len([line for _, line in taxonomy.outline(limit) if not line.startswith("…")]) <= limit
    whole = [line for _, line in taxonomy.outline()]
    assert len(whole) == 1 + len(edges)
    assert {line.removesuffix(" ↑") for line in whole} == set(taxonomy.nodes)
    assert sum("↑" not in line for line in whole) == len(taxonomy)


def test_similarity_is_on_the_scale_of_confusions() -> None:
    taxonomy = Taxonomy(DIAMOND)
    names = ["d", "e", "f"]
    expected = normalize_similarity(1 - 2 * taxonomy.distance_matrix(names))
    np.testing.assert_array_equal(taxonomy_similarity(taxonomy, names), expected)
    with pytest.raises(BadInput):
        taxonomy_similarity(taxonomy, ["d"])


def test_a_taxonomy_does_for_given_classes(tmp_path: Path) -> None:
    names = ["pets/dog", "pets/cat", "rock"]
    assert open_taxonomy("folders", names) == Taxonomy.from_paths(names)
    (tmp_path / "tree.txt").write_text("thing rock\nthing animal\nanimal dog\nanimal cat\n")
    taxonomy = open_taxonomy(tmp_path / "tree.txt", names)
    assert taxonomy.distance_matrix(names)[0].tolist() == [0, 0.5, 1]
    with pytest.raises(BadInput, match=r"'doge' is not in the taxonomy .*tree.txt; did you mean dog"):
        open_taxonomy(tmp_path / "tree.txt", ["doge"])
    with pytest.raises(BadInput, match="nested folders"):
        open_taxonomy("folders", ["dog", "T-shirt/top"])
    with pytest.raises(BadInput, match="Senses belong to WordNet"):
        open_taxonomy("folders", names, {"rock": "rock.n.01"})


def test_nested_folders_share_a_beginning() -> None:
    assert are_nested(["a/b", "a/c"])
    assert not are_nested(["a/b", "a", "c"])
    assert not are_nested(["dog", "cat"])
