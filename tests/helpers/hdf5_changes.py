"""Changes to the good spot file of the fixture `hdf5_file`."""

from collections.abc import Callable

import h5py

Hdf5File = Callable[..., str]


def replace(name: str, data: object = None, **options: object) -> Callable[[h5py.File], None]:
    def poke(file: h5py.File) -> None:
        units = dict(file[name].attrs) if name in file else {}
        if name in file:
            del file[name]
        dataset = file.create_dataset(name, data=data, **options)
        dataset.attrs.update(units)

    return poke


def set_units(units: object, name: str = "spots") -> Callable[[h5py.File], None]:
    return lambda file: file[name].attrs.__setitem__("units", units)


def remove(*names: str) -> Callable[[h5py.File], None]:
    def poke(file: h5py.File) -> None:
        for name in names:
            del file[name]

    return poke
