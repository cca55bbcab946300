"""No two outputs of a command are one file, whatever the spelling of their names."""

import pytest

from ffbidx_core.errors import UsageError
from ffbidx_core.write.formats.names import formats_of


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current directory, with the folders `q` and `other` and links to them and to files that are not there yet."""
    monkeypatch.chdir(tmp_path)
    for name, target in (("linked", "q"), ("b.h5", "q/a.h5"), ("c.txt", "k.tsv.toml")):
        (tmp_path / name).symlink_to(target)
    (tmp_path / "q").mkdir()
    (tmp_path / "other").mkdir()
    return tmp_path


@pytest.mark.parametrize("other", ["q/./a.h5", "q//a.h5", "other/../q/a.h5", "linked/a.h5", "b.h5"])
def test_one_file_under_two_names_is_refused(folder, other):
    with pytest.raises(UsageError, match=f"^-o {other}: is the same file as -o q/a.h5: leave one of them out$"):
        formats_of(["q/a.h5", other])
    with pytest.raises(UsageError, match=f"^-o {folder}/q/a.h5: is the same file as -o {other}: "):
        formats_of([other, f"{folder}/q/a.h5"])


@pytest.mark.parametrize("other", ["k.tsv.toml", "./k.tsv.toml", "c.txt"])
def test_the_record_of_an_output_is_no_other_output_under_any_name(folder, other):
    with pytest.raises(UsageError, match=f"^-o {other}: the record of k.tsv has this name: give another one$"):
        formats_of([other, "k.tsv"], "table")


def test_files_of_other_folders_and_standard_output_are_other_outputs(folder):
    names = ["q/a.h5", "other/a.h5", "a.h5", "-", "./-.txt", "./-.toml.txt"]
    assert list(formats_of(names)) == names
    assert list(formats_of(["./-", "-"], "csv")) == ["./-", "-"]


def test_a_name_with_a_null_character_is_left_to_the_check_of_the_outputs():
    assert formats_of(["a\0.h5", "b\0.h5"]) == {"a\0.h5": "hdf5", "b\0.h5": "hdf5"}
