import ast
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src"
ALLOWED = {"pydantic", "pydantic_core", "streamdesk.contracts"}
FILES = sorted(SOURCE.rglob("*.py"))


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or ".")
    return {".".join(n.split(".")[:2]) if "streamdesk" in n else n.split(".")[0] for n in found}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_contracts_depend_on_pydantic_alone(path: Path) -> None:
    assert imported(path) - set(sys.stdlib_module_names) <= ALLOWED
