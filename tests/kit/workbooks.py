"""Workbooks for tests, written part by part, so that they can be as odd as those of any program."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
STRICT = "http://purl.oclc.org/ooxml/spreadsheetml/main"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_STRICT_RELATIONS = "http://purl.oclc.org/ooxml/officeDocument/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"


def cell(reference: str, value: object, *, style: int = 0, formula: str = "", kind: str = "") -> str:
    """One cell: a text (inline), a number, or whatever ``kind`` says. None: a cell without a value."""
    made = f"<f>{escape(formula)}</f>" if formula else ""
    look = f' s="{style}"' if style else ""
    if isinstance(value, str) and not kind:
        return f'<c r="{reference}"{look} t="inlineStr">{made}<is><t xml:space="preserve">{escape(value)}</t></is></c>'
    shown = "<v/>" if value is None else f"<v>{escape(str(value))}</v>"
    return f'<c r="{reference}"{look}{f" t={quoteattr(kind)}" if kind else ""}>{made}{shown}</c>'


def rows(*given: Sequence[str], first: int = 1, hidden: Sequence[int] = ()) -> str:
    """``sheetData`` with these rows of cells."""
    made = "".join(
        f'<row r="{number}"{" hidden=" + chr(34) + "1" + chr(34) if number in hidden else ""}>{"".join(row)}</row>'
        for number, row in enumerate(given, first)
    )
    return f"<sheetData>{made}</sheetData>"


def table(*given: Sequence[object], **options: object) -> str:
    """``sheetData`` with these rows of plain values."""
    lines = [
        [cell(f"{chr(65 + n)}{row}", value) for n, value in enumerate(values)] for row, values in enumerate(given, 1)
    ]
    return rows(*lines, **options)  # type: ignore[arg-type]


def book(
    path: Path,
    sheets: Mapping[str, str] | str,
    *,
    formats: Sequence[str] = (),
    states: Mapping[str, str] | None = None,
    charts: Sequence[str] = (),
    shared: str | None = None,
    properties: str = "",
    calculation: str = "",
    namespace: str = MAIN,
    sheet_head: str = "",
) -> Path:
    """Write a workbook. ``formats``: number formats of the styles 1, 2, …; ``shared``: the inside of ``sst``."""
    sheets = {"People": sheets} if isinstance(sheets, str) else sheets
    relations = _RELATIONS if namespace == MAIN else _STRICT_RELATIONS
    states = states or {}
    listed, related = "", ""
    names = [*sheets, *charts]
    parts: dict[str, str] = {}
    for number, name in enumerate(names, 1):
        state = f' state="{states[name]}"' if name in states else ""
        listed += f'<sheet name={quoteattr(name)} sheetId="{number}"{state} r:id="rId{number}"/>'
        kind = "chartsheet" if name in charts else "worksheet"
        related += f'<Relationship Id="rId{number}" Type="{relations}/{kind}" Target="{kind}s/sheet{number}.xml"/>'
        inside = sheets.get(name, "<sheetData/>")
        parts[f"xl/{kind}s/sheet{number}.xml"] = (
            inside if inside.startswith("<?xml") else f'{sheet_head}<worksheet xmlns="{namespace}">{inside}</worksheet>'
        )
    related += f'<Relationship Id="s" Type="{relations}/styles" Target="styles.xml"/>'
    if shared is not None:
        related += f'<Relationship Id="t" Type="{relations}/sharedStrings" Target="/xl/sharedStrings.xml"/>'
        parts["xl/sharedStrings.xml"] = f'<sst xmlns="{namespace}">{shared}</sst>'
    codes = "".join(
        f"<numFmt numFmtId={quoteattr(str(200 + n))} formatCode={quoteattr(f)}/>" for n, f in enumerate(formats)
    )
    xfs = '<xf numFmtId="0"/>' + "".join(f'<xf numFmtId="{200 + n}"/>' for n in range(len(formats)))
    parts |= {
        "[Content_Types].xml": "<Types/>",
        "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}"><Relationship Id="b" Type="{relations}/officeDocument" '
        'Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{namespace}" xmlns:r="{relations}">{properties}<sheets>{listed}</sheets>'
        f"{calculation}</workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}">{related}</Relationships>',
        "xl/styles.xml": f'<styleSheet xmlns="{namespace}"><numFmts>{codes}</numFmts><cellXfs>{xfs}</cellXfs>'
        "</styleSheet>",
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def rewritten(path: Path, part: str, change: Callable[[str], str], *, encoding: str = "utf-8") -> None:
    """Change the text of one part of a workbook."""
    with zipfile.ZipFile(path) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    parts[part] = change(parts[part].decode()).encode(encoding)
    with zipfile.ZipFile(path, "w") as new:
        for name, data in parts.items():
            new.writestr(name, data)
