"""The conversion of a diagnosis to JSON."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..panels.words import as_dict as panels_as_dict
from .diagnosis import Diagnosis
from .words import sentences


def as_dict(diagnosis: Diagnosis) -> dict[str, Any]:
    """The diagnosis without its residuals, as a dictionary that can be written as JSON."""
    experiment = diagnosis.experiment
    return {
        "results": diagnosis.path,
        "frames": diagnosis.n_frames,
        "doubt": diagnosis.doubt,
        "frames_by_lattices": diagnosis.lattices,
        "cells": [{name: _plain(value) for name, value in vars(cell).items()} for cell in diagnosis.cells],
        "frames_sampled": diagnosis.n_sampled,
        "missing": diagnosis.missing,
        "setup": None if experiment is None else experiment.as_dict(),
        "pixels": None if diagnosis.pixels is None else vars(diagnosis.pixels),
        "panels": None
        if diagnosis.panels is None
        else panels_as_dict(diagnosis.panels.refined, diagnosis.panels.names),
        "multiple": None
        if diagnosis.multiple is None
        else {
            **{name: _plain(value) for name, value in vars(diagnosis.multiple).items() if name != "cell"},
            "place": diagnosis.multiple_place,
            "right_cell": diagnosis.multiple_cell,
        },
        "scale": None if diagnosis.scale is None else vars(diagnosis.scale),
        "settings": [{name: _plain(value) for name, value in vars(each).items()} for each in diagnosis.settings],
        "beam_shift_of_run": diagnosis.shifted.mrad,
        "beam_moved_by_run": diagnosis.moved.mrad,
        "not_tried": diagnosis.not_tried,
        "advice": [
            {
                "option": each.option,
                "frames": len(each.after.indexed),
                "indexed_before": each.before.rate,
                "indexed_after": each.after.rate,
                "gain": each.after.gain_over(each.before),
            }
            for each in diagnosis.advice
        ],
        "words": sentences(diagnosis),
    }


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value
