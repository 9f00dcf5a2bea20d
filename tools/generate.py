"""Generate src/autovibe/v1 from proto/: messages, the descriptor set, and the service Protocols.

With --check nothing is written; the exit status is 1 when the result would differ.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import google.api
from google.protobuf import descriptor_pb2

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path("src/autovibe/v1")
HEADER = '"""{doc}\n\nGenerated from proto/ by tools/generate.py; do not edit.\n"""\n'


def main() -> int:
    """Generate, or compare with what is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing, exit 1 on a difference"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        fresh = generate(Path(scratch))
        if arguments.check:
            return 0 if same(fresh, ROOT / PACKAGE) else 1
        shutil.rmtree(ROOT / PACKAGE, ignore_errors=True)
        shutil.copytree(fresh, ROOT / PACKAGE)
    return 0


def generate(scratch: Path) -> Path:
    """Generate into `scratch` and return the package directory made there."""
    third_party = ROOT / "build/third_party/google/api"
    third_party.mkdir(parents=True, exist_ok=True)
    installed = Path(next(iter(google.api.__path__)))
    for name in ("annotations.proto", "http.proto"):
        shutil.copyfile(installed / name, third_party / name)
    buf("generate", "--output", str(scratch))
    package = scratch / PACKAGE
    image = package / "autovibe.binpb"
    buf(
        "build",
        "--as-file-descriptor-set",
        "--path",
        "proto/autovibe",
        "-o",
        f"{image}#format=binpb",
    )
    files = descriptor_pb2.FileDescriptorSet.FromString(image.read_bytes())
    ours = [file for file in files.file if file.package == "autovibe.v1"]
    package.joinpath("services.py").write_text(service_protocols(ours))
    package.joinpath("__init__.py").write_text(
        HEADER.format(doc="The contract: messages and service Protocols.")
    )
    return package


def buf(*arguments: str) -> None:
    """Run buf with the tools of this environment on its PATH."""
    tools = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run([tools / "buf", *arguments], cwd=ROOT, check=True, env=environment)


def service_protocols(files: list[descriptor_pb2.FileDescriptorProto]) -> str:
    """Return a module with one Protocol per service: one method per rpc."""
    imports: set[str] = set()
    blocks: list[str] = []
    modules = {
        f".{file.package}.{message.name}": Path(file.name).stem + "_pb2"
        for file in files
        for message in file.message_type
    }

    def python_name(type_name: str) -> str:
        imports.add(modules[type_name])
        return f"{modules[type_name]}.{type_name.rsplit('.', 1)[1]}"

    for file in files:
        comments = {
            tuple(where.path): where.leading_comments.strip()
            for where in file.source_code_info.location
        }
        for s, service in enumerate(file.service):
            lines = [
                f"class {service.name}(Protocol):",
                f'    """{sentence(comments.get((6, s)), service.name)}"""',
            ]
            for m, method in enumerate(service.method):
                answer = python_name(method.output_type)
                if method.server_streaming:
                    define, answer = "def", f"AsyncGenerator[{answer}]"
                else:
                    define = "async def"
                lines += [
                    "",
                    f"    {define} {snake(method.name)}(",
                    f"        self, request: {python_name(method.input_type)}, /",
                    f"    ) -> {answer}:",
                    f'        """{sentence(comments.get((6, s, 2, m)), method.name)}"""',
                    "        ...",
                ]
            blocks.append("\n".join(lines))
    head = HEADER.format(
        doc="What each service offers: the local and the remote twin have these shapes."
    )
    imported = "".join(f"from autovibe.v1 import {module}\n" for module in sorted(imports))
    given = "from collections.abc import AsyncGenerator\nfrom typing import Protocol"
    return f"{head}\n{given}\n\n{imported}\n\n" + "\n\n\n".join(blocks) + "\n"


def sentence(comment: str | None, otherwise: str) -> str:
    """Return a comment as one docstring line."""
    return " ".join((comment or f"{otherwise}.").split())


def snake(name: str) -> str:
    """Return the snake_case form of an rpc name."""
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name).lstrip("_")


def same(left: Path, right: Path) -> bool:
    """Return whether two generated packages are equal, and print what differs."""
    names = {
        path.name for path in (*left.iterdir(), *right.glob("*")) if path.name != "__pycache__"
    }
    different = [
        name
        for name in sorted(names)
        if not ((left / name).exists() and (right / name).exists())
        or not filecmp.cmp(left / name, right / name, shallow=False)
    ]
    for name in different:
        print(f"{PACKAGE / name} differs from what proto/ gives; run: python tools/generate.py")
    return not different


if __name__ == "__main__":
    sys.exit(main())
