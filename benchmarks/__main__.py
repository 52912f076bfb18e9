"""All benchmarks, or one of them.

python -m benchmarks                     list them
python -m benchmarks NAME [ARGUMENT …]   run one
"""

import runpy
import sys
from pathlib import Path

HERE = Path(__file__).parent
PARTS = {"__main__", "bare_remote", "constant", "once", "processes", "script", "search_peers"}


def main() -> None:
    programs = {file.stem: file for file in HERE.glob("*.py") if file.stem not in PARTS}
    programs |= {file.parent.name: file for file in HERE.glob("*/__main__.py")}
    if len(sys.argv) < 2 or sys.argv[1] not in programs:
        for name, file in sorted(programs.items()):
            first = file.read_text(encoding="utf-8").split('"""')[1].strip().splitlines()[0]
            print(f"{name:12} {first}")
        raise SystemExit(2 if len(sys.argv) > 1 else 0)
    sys.argv = sys.argv[1:]
    sys.path.insert(0, str(HERE))
    runpy.run_path(str(programs[sys.argv[0]]), run_name="__main__")


if __name__ == "__main__":
    main()
