"""Reading goes on from any place as if it had never stopped."""

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffbidx_core.model.records.frame import Place
from ffbidx_core.read import Source, read_blocks
from tests.helpers.spot_files import frames


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Source]:
    """Files, single frames, a file that is not there and one that breaks in its middle."""
    folder = tmp_path_factory.mktemp("places")
    for name, n in (("a", 5), ("b", 1), ("c", 7)):
        with h5py.File(folder / f"{name}.h5", "w") as file:
            spots = np.random.default_rng(n).uniform(0.1, 0.5, (4 * n, 3)).astype("f4")
            file.create_dataset("spots", data=spots, chunks=(4, 3), fletcher32=True)
            file["spots"].attrs["units"] = "1/angstrom"
            file["offsets"] = np.arange(0, 4 * n + 1, 4)
            chunk = file["spots"].id.get_chunk_info(n // 2).byte_offset
        if name == "c":
            image = bytearray((folder / "c.h5").read_bytes())
            image[chunk] ^= 1
            (folder / "c.h5").write_bytes(image)
    (folder / "t.txt").write_text("0.1 0.2 0.3\n")
    paths = {name: str(folder / name) for name in ("a.h5", "b.h5", "c.h5", "t.txt", "no")}
    a, b, c, t, no = paths.values()
    return [Source(a), Source(c), Source(no), Source(t), Source(a, 3), Source(a, 1), Source(b), Source(c, 6), Source(a)]


def rows(sources: list[Source], **options: object) -> list[tuple]:
    found = list(read_blocks(sources, **options))  # type: ignore[arg-type]
    places = [Place(*place) for block in found for place in block.places.tolist()]
    return [(*row[:2], row[2].tobytes(), place) for row, place in zip(frames(found), places, strict=True)]


@settings(max_examples=60)
@given(data=st.data(), every=st.integers(1, 4), most=st.none() | st.integers(1, 20), size=st.integers(1, 9))
def test_from_any_place_the_rest_follows(sources, data, every, most, size):
    whole = rows(sources, every=every, max_frames=most, frames_per_block=4)
    assert rows(sources, every=every, max_frames=most, frames_per_block=size) == whole
    at = data.draw(st.integers(0, len(whole) - 1))
    assert rows(sources, every=every, max_frames=most, frames_per_block=size, start=whole[at][3]) == whole[at + 1 :]


def test_a_frame_that_cannot_be_read_keeps_its_row(sources):
    index = [row[1] for row in rows(sources)]
    assert index == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5, 6, -1, 0, 3, 1, 0, 6, 0, 1, 2, 3, 4]


@given(cut=st.integers(0, 22), every=st.integers(1, 3))
def test_two_parts_are_the_whole(sources, cut, every):
    whole = rows([sources[0]] * 4, every=every)
    first = rows([sources[0]] * 4, every=every, end=cut)
    start = Place(min(cut // 5, 4), cut % 5, cut, 0)
    second = rows([sources[0]] * 4, every=every, start=start)
    assert [row[:3] for row in first + second] == [row[:3] for row in whole]


def test_places_know_what_was_taken(sources: list[Source], tmp_path) -> None:
    places = [row[3] for row in rows([sources[0]] * 2, every=2)]
    assert [place.taken for place in places] == [1, 2, 3, 4, 5]
    assert [place.position for place in places] == [1, 3, 5, 7, 9]
    assert [(place.source, place.frame) for place in places] == [(0, 1), (0, 3), (0, 5), (1, 2), (1, 4)]
