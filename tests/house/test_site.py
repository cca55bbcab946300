"""Every page of the documentation is in the navigation of the site, which `make docs` builds strictly."""

import re

from tests.helpers.paths import ROOT


def test_every_page_is_in_the_navigation():
    pages = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    navigation = (ROOT / "mkdocs.yml").read_text().partition("\nnav:\n")[2]
    assert set(re.findall(r"^ *- ([\w/.-]+\.md)$", navigation, flags=re.MULTILINE)) == pages
