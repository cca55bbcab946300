"""The paths of the project and of the shared data beside it, which tests may use if they exist."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
