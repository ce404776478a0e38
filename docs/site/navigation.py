"""Build the navigation of the site from the sections and links of the index page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

LINK = re.compile(r"\[([^\]]+)\]\(([^)#:]+\.md)\)")


def on_config(config: Any, **_: Any) -> Any:
    """Read the navigation from the index; a test checks that the index is complete."""
    index = (Path(config["docs_dir"]) / "index.md").read_text(encoding="utf-8")
    _, *sections = re.split(r"^## ", index, flags=re.MULTILINE)
    nav: list[Any] = [{"Home": "index.md"}]
    for section in sections:
        pages = [{name: path} for name, path in LINK.findall(section)]
        if pages:
            nav.append({section.partition("\n")[0]: pages})
    config["nav"] = nav
    return config
