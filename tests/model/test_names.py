"""Names that repeat are kept once."""

from hypothesis import given
from hypothesis import strategies as st

from ffbidx_core.model.records.names import Names

NAMES = st.lists(st.sampled_from(["", "a", "b.h5"]), max_size=8)


@given(st.lists(NAMES, max_size=4), st.integers(-9, 20), st.integers(-9, 20))
def test_names_are_equal_to_the_list_of_them(parts, begin, end):
    plain = [name for part in parts for name in part]
    names = Names.joined(parts)
    assert names == plain
    assert list(names) == plain
    assert names.array.tolist() == plain
    assert names[begin:end] == plain[begin:end]
    assert names[begin:end].array.tolist() == plain[begin:end]
    assert [names[i] for i in range(-len(plain), len(plain))] == plain + plain
    assert names[::2] == plain[::2]
    assert names != [*plain, "c"]


def test_a_name_that_repeats_is_kept_once():
    assert Names.of(["a"] * 1000).values == ["a"]
