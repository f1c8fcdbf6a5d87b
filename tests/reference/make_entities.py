"""Writes core/text/entities.txt: the named characters that ftfy unescapes, from the table of HTML 5
in Python's library. A name that is all lower case stands for the capital when written in capitals,
unless that already means something.

    python tests/reference/make_entities.py
"""
import html
import re
from html.entities import html5
from pathlib import Path

OUT = Path(__file__).resolve().parents[2] / "core/text/entities.txt"


def main():
    table = {name[:-1]: text for name, text in html5.items() if name.endswith(";")}
    for name, text in list(table.items()):
        capital = name.upper()
        if name == name.lower() and html.unescape(f"&{capital};") == f"&{capital};":
            table[capital] = text.upper()
    rows = [(name, " ".join(f"{ord(c):X}" for c in text)) for name, text in table.items()
            if re.fullmatch("[0-9A-Za-z]{1,24}", name)]
    OUT.write_text("".join(f"{name} {codes}\n" for name, codes in sorted(rows)))
    print(f"{len(rows)} names")


if __name__ == "__main__":
    main()
