"""Where the project lies, and the shared data beside it, which tests may use where they are."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
