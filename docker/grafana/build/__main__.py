"""`python docker/grafana/build [folder]`: write every dashboard as JSON, by default to where Grafana reads them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import analysis
import errors
import overview
import performance
from grafana_foundation_sdk.cog.encoder import JSONEncoder

PAGES = {"overview": overview, "predictions": analysis, "performance": performance, "errors": errors}


def main(folder: Path) -> None:
    for name, module in PAGES.items():
        text = json.dumps(module.page(), cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False)
        (folder / f"{name}.json").write_text(text + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent / "dashboards")
