"""The benchmark of live runs in small: its long run is the short version of a million messages."""

from tests.bench.live import soak


def test_of_many_messages_none_is_lost_uncounted_and_memory_stays_flat(tmp_path):
    found = soak(tmp_path, 15_000, kills=1)
    assert found.sent + found.garbage == 15_000
    assert found.errors == found.garbage == 150
    assert found.unanswered == 0
    assert found.answered > 1000
    assert found.after - found.before < 20
