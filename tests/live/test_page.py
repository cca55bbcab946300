"""The page of a live server in a browser, on a phone and on the screen of a beamline."""

import json
import queue
import shutil
import subprocess

import pytest

from ffbidx_core.live import web
from ffbidx_core.live.state import LiveState

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SIZES = {"phone": (390, 844), "beamline": (1920, 1080)}
COUNTS = {"frames": 1_234_567, "indexed": 800_000, "crystals": 912_345, "dropped": 1234, "errors": 5}
REASONS = {"indexed": 70, "no_vector": 12, "too_few_spots": 10, "not_significant": 8}
SHOWN = {
    "run": "a_run_with_a_long_name_2026_0042",
    "notes": ["from frame 113 (f-113) on the run uses the cell learned from its first 60 frames"],
    "beam": [0.31, -0.12],
    "beam_left": [0.02, -0.01],
    "whole": COUNTS | {"reasons": REASONS},
    "minute": COUNTS | {"reasons": REASONS, "frames_per_second": 19_998.0},
    "history": [[k, 20_000, 14_000] for k in range(-60, 0)],
    "delay": {"p50": 12.3, "p99": 45.6},
    "cell": [179.02, 179.03, 138.01, 90.01, 90.0, 119.98],
    "resolution": 2.11,
}
LOOK = """<!doctype html><body><script>
function looked() {
  const views = Array.from(frames, (_, k) => frames[k]);
  if (views.some(view => view.document.getElementById("link")?.textContent !== "live")) return setTimeout(looked, 20);
  const found = views.map(view => {
    const root = view.document.documentElement, tiles = [...view.document.querySelectorAll(".tile, .tile *")];
    const cut = tiles.filter(each => each.clientWidth && each.scrollWidth > each.clientWidth + 1);
    return {width: root.scrollWidth, height: root.scrollHeight, text: root.innerText, cut: cut.map(each => each.id),
      size: parseFloat(view.getComputedStyle(view.document.getElementById("rate")).fontSize)};
  });
  fetch("found", {method: "POST", body: JSON.stringify(found)});
}
onload = looked;
</script>"""


class Shown(LiveState):
    """A state with numbers of a long run at a high rate."""

    def as_dict(self) -> dict:
        return super().as_dict() | SHOWN


def looks(monkeypatch, folder) -> dict:
    """The width, the text, the elements that are cut off, and the size of the large numbers in each size of window.

    The browser loads the page from its server in frames of these sizes, and has its numbers from an event.
    """
    handler, found = web._handler, queue.SimpleQueue()
    views = "".join(f'<iframe width="{w}" height="{h}" src="/"></iframe>' for w, h in SIZES.values())

    def with_views(state, stop):
        class Views(handler(state, stop)):
            def do_GET(self) -> None:  # noqa: N802
                if self.path != "/views":
                    super().do_GET()
                    return
                self._send("text/html; charset=utf-8", (LOOK + views).encode())

            def do_POST(self) -> None:  # noqa: N802
                found.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self._send("text/plain", b"")

        return Views

    monkeypatch.setattr(web, "_handler", with_views)
    shown = web.Page("127.0.0.1:0", Shown())
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", f"--user-data-dir={folder}")
    with subprocess.Popen([BROWSER, *options, f"{shown.url}views"], stderr=subprocess.DEVNULL) as browser:
        try:
            return dict(zip(SIZES, found.get(timeout=60), strict=True))
        finally:
            browser.kill()
            shown.close()


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium")
def test_all_quantities_are_on_a_phone_and_on_a_beamline_screen_and_none_is_cut_off(monkeypatch, tmp_path):
    views = looks(monkeypatch, tmp_path)
    for name, view in views.items():
        assert view["width"] <= SIZES[name][0], name
        assert view["cut"] == [], name
        for text in (
            "19,998", "65 %", "1.14", "2.11", "99 % within 46 ms", "1,234", "179.02", "119.98°", "+0.31", "drift +0.02",
            "too few spots", "learned from its first 60 frames", "a_run_with_a_long_name_2026_0042",
        ):  # fmt: skip
            assert text in view["text"], (name, text)
    beamline = views["beamline"]
    # A capital of 0.7 x 60 px is 12 mm high on a screen of 24 inches, which is read at 3 m.
    assert beamline["size"] >= 60
    assert beamline["height"] <= SIZES["beamline"][1]
