"""The site's navigation: the sections and links of the index page, in its order."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

LINK = re.compile(r"\[([^\]]+)\]\(([^)#:]+\.md)\)")


def on_config(config: Any, **_: Any) -> Any:
    """Read it off the index, which a test holds to be complete."""
    index = (Path(config["docs_dir"]) / "index.md").read_text(encoding="utf-8")
    _, *sections = re.split(r"^## ", index, flags=re.MULTILINE)
    nav: list[Any] = [{"Home": "index.md"}]
    for section in sections:
        pages = [{name: path} for name, path in LINK.findall(section)]
        if pages:
            nav.append({section.partition("\n")[0]: pages})
    config["nav"] = nav
    return config
