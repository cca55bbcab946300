"""Names, order and defaults of the published Python interface."""

import importlib
import importlib.metadata
import inspect

import pytest

import ffbidx
import ffbidx_core.version
from tests.helpers.paths import SHARED

PUBLISHED = {
    "ffbidx.Indexer": "max_output_cells=32, max_input_cells=1, max_spots=300, num_candidate_vectors=32, "
    "redundant_calculations=True",
    "indexer.run": "spots, input_cells, method='ifssr', length_threshold=1e-9, triml=.001, trimh=.3, delta=0.1, "
    "dist1=.0, dist3=.15, num_halfsphere_points=32*1024, num_angle_points=0, n_output_cells=32, contraction=.8, "
    "max_dist=.00075, min_spots=8, n_iter=32",
    "indexer.crystals": "output_cells, spots, output_scores, method='ifssr', threshold=.00075, min_spots=8",
}
DOCUMENT = SHARED / "published" / "python_module.md"


def defaults(signature):
    return [(p.name, p.default) for p in signature.parameters.values() if p.name != "self"]


@pytest.mark.parametrize(
    ("name", "own", "added"),
    [
        ("ffbidx.Indexer", ffbidx.Indexer, ["redundant_computations", "backend", "device", "preset"]),
        ("indexer.run", ffbidx.Indexer.run, ["vr_min_spots"]),
        ("indexer.crystals", ffbidx.Indexer.crystals, []),
    ],
)
def test_names_order_and_defaults_are_the_published_ones(name, own, added):
    published = defaults(inspect.signature(eval(f"lambda {PUBLISHED[name]}: None")))
    ours = defaults(inspect.signature(own))
    assert ours[: len(published)] == published
    assert [parameter for parameter, _ in ours[len(published) :]] == added


@pytest.mark.skipif(not DOCUMENT.exists(), reason="the published document is not beside the project")
@pytest.mark.parametrize("name", PUBLISHED)
def test_the_signatures_are_those_of_the_document(name):
    assert f"{name}({PUBLISHED[name]})" in DOCUMENT.read_text()


def test_the_module_offers_the_indexer_the_functions_on_handles_and_a_check():
    names = {name for name in vars(ffbidx) if not name.startswith("__")}
    assert names == {"Indexer", "index", "indexer", "release", "runtime_check"}
    assert set(ffbidx.__all__) == names | {"__version__"}
    assert ffbidx.__version__ == importlib.metadata.version("ffbidx")


def test_a_source_tree_that_nobody_installed_has_a_version_too(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    with monkeypatch.context() as patch:
        patch.setattr(importlib.metadata, "version", missing)
        assert importlib.reload(ffbidx_core.version).VERSION == "0+unknown"
    importlib.reload(ffbidx_core.version)
