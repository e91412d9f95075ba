"""Write or check docs/market-tables.md: the lots, ticks and fees that come with the desk.

`market_tables_page.py` writes the page from libs/trading's tables, `market_tables_page.py --check`
fails when it is not what the tables say.
"""

import argparse
import csv
import sys
from importlib.resources import files
from pathlib import Path

from streamdesk.trading.market_tables import TABLE_FILES

PAGE = Path(__file__).resolve().parent.parent / "docs" / "market-tables.md"
HEAD = """\
<!-- Written by `make docs`; do not edit. -->
# Lots, ticks and fees

What exchanges and authorities decide, by date and with the source of each row. The files are in
[libs/trading](../libs/trading/src/streamdesk/trading/tables). A row holds from its day on, a date
at the exchange, until the next row of the same thing. Before its first row a lot, or a market's
ticks, are those of that row; a fee is not taken. Commissions are the broker's and are settings of
the [order-executor](../services/order-executor/README.md).

## Rows of your own

Put `lots.csv`, `ticks.csv` or `fees.csv`, or some of them, into a folder, with the header and the
columns of the tables below, and name the folder in `MARKET_TABLES_FOLDER`. Your rows are laid
over these: of two rows about the same thing and day, yours counts. A fee ends with a row of rate
0. All rows of one market and day in `ticks.csv` are one table, so they begin at price 0. A file
that cannot be used stops the start with one line that names the file, the line, the value and
what was expected.

HKEX's phase 2 of finer ticks (0.50 to 10 HKD: 0.005) is such a case: announced for the middle of
2026, its first day is not known here, so it is not among the rows below. Until it is added,
prices are multiples of 0.01, which the finer table takes as well.

On Kubernetes the folder is a ConfigMap, mounted by values that every service has:

```yaml
orderExecutor:
  settings:
    MARKET_TABLES_FOLDER: /market-tables
  volumes:
    - name: market-tables
      configMap: {name: market-tables}
  volumeMounts:
    - {name: market-tables, mountPath: /market-tables, readOnly: true}
```

`LOT_SIZES` is for a lot or two without a file, at any date.
"""
ABOUT = {
    "lots.csv": "Shares in a board lot. In Hong Kong it is the issuer's choice and changes now and "
    "then; a row without a source says so. US shares trade one by one.",
    "ticks.csv": "From a price on, the step in which prices move.",
    "fees.csv": "Statutory fees. `basis`: what the rate is multiplied by; `minimum`, `maximum`: of "
    "an order.",
}


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for name, columns in TABLE_FILES.items():
        text = (files("streamdesk.trading") / "tables" / name).read_text("utf-8")
        parts.append(f"\n## {name}\n\n{ABOUT[name]}\n\n")
        parts.append(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|\n")
        parts += [f"| {' | '.join(row)} |\n" for row in list(csv.reader(text.splitlines()))[1:]]
    return "".join(parts)


def main() -> None:
    """Read the arguments and do it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, fail on drift")
    options = parser.parse_args()
    text = page()
    if not options.check:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
        sys.exit(f"{PAGE.name} is not what the tables say; run `make docs`")


if __name__ == "__main__":
    main()
