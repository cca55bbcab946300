"""The result of a refinement of panels, as text, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..nouns import are, counted
from .fit import PanelFit
from .levels import PANEL
from .refine import FEW_PEAKS, Refinement

COLUMNS = ("dx / px", "dy / px", "dz / px", "turn / mrad", "tilt x / mrad", "tilt y / mrad")
ORDER = (0, 1, 2, 5, 3, 4)
"""The number of the motion that each column shows."""
NOT_SHOWN = (
    "No still shows a turn of everything about the beam, so none is made; distance and cell move peaks almost alike, "
    "so that the mean of the panels along the beam has a large error."
)


@dataclass(frozen=True)
class PanelRow:
    """The row of a panel in the table.

    Attributes
    ----------
    name : str
        Name of the panel.
    n_peaks : float
        Sum of the weights of the peaks with which it was fitted.
    motion, errors : (6,) float
        The motion and its errors in the order and units of `COLUMNS`.
    follows : bool
        Whether the panel has so few peaks that it moved with its group.
    """

    name: str
    n_peaks: float
    motion: tuple[float, ...]
    errors: tuple[float, ...]
    follows: bool


def rows_of(fit: PanelFit, names: Sequence[str]) -> list[PanelRow]:
    """The rows of a table of panels with these names."""
    return [
        PanelRow(
            name,
            float(fit.counts[i]),
            tuple(fit.motion[i, ORDER].tolist()),
            tuple(fit.errors[i, ORDER].tolist()),
            bool(fit.counts[i] < FEW_PEAKS),
        )
        for i, name in enumerate(names)
    ]


def moved_by(fit: PanelFit) -> tuple[float, int, float, float]:
    """The rms motion of panels weighted by peaks, and the panel that moved most with its motion and error, in pixels.

    Motions are across the beam. Panels with few peaks are ignored for the largest motion, unless all have few.
    """
    across = np.linalg.norm(fit.motion[:, :2], axis=1)
    rms = float(np.sqrt((fit.counts * across**2).sum() / max(fit.counts.sum(), 1e-9)))
    seen = fit.counts >= FEW_PEAKS
    most = int(np.argmax(np.where(seen | ~seen.any(), across, -1)))
    return rms, most, float(across[most]), float(np.linalg.norm(fit.errors[most, :2]))


def whole_shift(fit: PanelFit) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The mean shift of the panels along x, y, z, weighted by their peaks, and its errors, in pixels."""
    share = fit.counts / max(fit.counts.sum(), 1e-9)
    weight = np.zeros((3, len(share), 6))
    for axis in range(3):
        weight[axis, :, axis] = share
    flat = weight.reshape(3, -1)
    errors = np.sqrt(np.einsum("ai,ij,aj->a", flat, fit.covariance, flat))
    return tuple((flat @ fit.motion.ravel()).tolist()), tuple(errors.tolist())


def sentences(refined: Refinement, names: Sequence[str]) -> Iterator[str]:
    """Yield sentences about the result of the rounds of index, fit, index."""
    fit, gain, n = refined.fit, refined.gain, len(names)
    if fit is None or gain is None:
        yield f"Panels stay where the geometry has them: {refined.why}."
        return
    n_levels = int(refined.tree.level.max()) + 1
    yield (
        f"{counted(n, 'panel')} of {counted(n_levels, 'level')}, {counted(fit.n_crystals, 'crystal')}, "
        f"{counted(round(fit.counts.sum()), 'peak')}: residuals of crystals that were not fitted fall "
        f"from {gain.before:.3f} to {gain.after:.3f} px, a crystal's by "
        f"{gain.mean:.3f} ± {gain.error:.3f} px."
    )
    if refined.agree:
        yield "Panels agree with each other, so the detector moved as a whole, as with --level detector."
    if refined.tree.n_nodes > 1:
        rms, most, by, error = moved_by(fit)
        yield f"Panels moved by {rms:.2f} px (rms by their peaks), most {names[most]} by {by:.2f} ± {error:.2f} px."
    (x, y, z), (ex, ey, ez) = whole_shift(fit)
    yield (
        f"The detector as a whole moved by {x:+.2f} ± {ex:.2f} px in x, {y:+.2f} ± {ey:.2f} px in y and {z:+.2f} ± "
        f"{ez:.2f} px along the beam."
    )
    if refined.level != PANEL and not refined.agree:
        n_groups = refined.tree.n_nodes - 1
        groups = f"{counted(n_groups, 'group')} of panels moved, no panel within its group"
        moved = groups if n_groups else "no panel moved alone"
        yield f"With --level {refined.level} {moved}."
    few = [names[i] for i in np.flatnonzero(fit.counts < FEW_PEAKS).tolist()]
    if few and refined.level == PANEL:
        listed = ", ".join(few[:8]) + (f" and {len(few) - 8} more" if len(few) > 8 else "")
        yield f"With fewer than {FEW_PEAKS:.0f} peaks {listed} moved with their group."
    yield NOT_SHOWN
    if refined.first is not None and refined.last is not None:
        of, n = len(refined.first.indexed), int(refined.last.indexed.sum())
        yield (
            f"Of {counted(of, 'frame')} {n} {are(n)} indexed with the moved panels, "
            f"{int(refined.first.indexed.sum())} without."
        )


def as_dict(refined: Refinement, names: Sequence[str]) -> dict[str, Any]:
    """The result as a dictionary that can be written as JSON."""
    fit, gain = refined.fit, refined.gain
    found: dict[str, Any] = {
        "moved": fit is not None,
        "level": refined.level,
        "why": refined.why,
        "rounds": refined.rounds,
    }
    if gain is not None:
        found["held_out"] = {name: getattr(gain, name) for name in ("before", "after", "mean", "error", "n_crystals")}
    if refined.first is not None and refined.last is not None:
        indexed = {"before": refined.first.indexed, "after": refined.last.indexed}
        found["indexed"] = {name: int(each.sum()) for name, each in indexed.items()} | {
            "of": len(refined.first.indexed)
        }
    if fit is not None:
        found["panels"] = [
            {
                "name": row.name,
                "peaks": row.n_peaks,
                "follows": row.follows,
                "motion": dict(zip(COLUMNS, row.motion, strict=True)),
                "error": dict(zip(COLUMNS, row.errors, strict=True)),
            }
            for row in rows_of(fit, names)
        ]
    return found
