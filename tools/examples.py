"""Write the examples of the OpenAPI document: what a walk through the contract asked and got."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "src/autovibe/skins/rest/examples.json"

sys.path.insert(0, str(ROOT / "tests/support"))

from composed import composed  # noqa: E402 - lies beside the tests
from examples import examples_of  # noqa: E402 - lies beside the tests
from walk import Walk  # noqa: E402 - lies beside the tests
from walk_steps import walk  # noqa: E402 - lies beside the tests


def main() -> None:
    """Walk, and write the file that the package has."""
    with tempfile.TemporaryDirectory() as scratch:
        examples = asyncio.run(_walked(Path(scratch).resolve()))
    TARGET.write_text(json.dumps(examples, indent=1, ensure_ascii=False) + "\n", "utf-8")
    sys.stdout.write(f"{len(examples)} examples in {TARGET.relative_to(ROOT)}\n")


async def _walked(home: Path) -> dict[str, Any]:
    async with composed(home) as world:
        going = Walk(world.local, world.local, world.plane, home)
        await walk(going)
        return examples_of(going.answered, home)


if __name__ == "__main__":
    main()
