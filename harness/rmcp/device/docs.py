"""docs/environment.md from the knowledge base: ``python -m rmcp.device.docs > docs/environment.md``."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from rmcp.device.knowledge import Knowledge, Variable, knowledge
from rmcp.device.parameters import PARAMETERS


def environment_markdown(base: Knowledge | None = None) -> str:
    """The whole page as Markdown."""
    base = base or knowledge()
    lines = [
        "# Environment variables",
        "",
        "<!-- Made by `python -m rmcp.device.docs` from harness/rmcp/device/environment.json: edit that. -->",
        "",
        base.about,
        "",
        f"Knowledge of {base.version}, {len(base.variables)} variables. `rmcp plan` and a run check a matrix",
        "against it; `rmcp doctor --env` checks your shell, `rmcp doctor --env NAME=VALUE ...` any values.",
        "",
        "## When a variable is read",
        "",
        "A change after that moment is ignored: rmcp starts a fresh process for every environment.",
        "",
        *_table(("class", "read"), ((name, text) for name, text in base.classes.items())),
        "",
        "## Traps",
        "",
        *_traps(base),
    ]
    for component, title in base.components.items():
        group = [one for one in base.variables.values() if one.component == component and one.described]
        if group:
            heading = "Read by nothing" if component == "none" else title
            lines += ["", f"## {heading}", "", *_component(group)]
    families = [one for one in base.families if one.entry.effect]
    lines += ["", "## Families", "", "Names that follow a pattern are known by it.", ""]
    lines += _table(
        ("pattern", "effect"), ((f"`{one.pattern.pattern}`", one.entry.effect) for one in families)
    )
    lines += [
        "",
        "## Known by name",
        "",
        "Declared in the source, so they are no misspellings, and their values are",
    ]
    lines += ["checked by kind (bool, number, text); what they do is not described here.", ""]
    for component, title in base.components.items():
        named = [
            one.name for one in base.variables.values() if one.component == component and not one.described
        ]
        if named:
            lines.append(f"- {title}: " + ", ".join(f"`{name}`" for name in named))
    lines += ["", "## Kernel parameters of amdgpu", "", "No environment variables, but mistaken as often. "]
    lines[-1] += "`rmcp doctor --kernel-params NAME=VALUE` prints the commands that set them."
    lines.append("")
    lines += _table(
        ("parameter", "default", "what it is", "on RDNA1"),
        ((f"`{one.name}`", one.default or "(empty)", one.what, one.rdna1) for one in PARAMETERS.values()),
    )
    lines += ["", "## Sources", ""]
    lines += [f"- `{name}`: {text}" for name, text in base.sources.items()]
    return "\n".join(lines) + "\n"


def _traps(base: Knowledge) -> list[str]:
    """What the checks look for, with the variables concerned."""
    every = base.variables.values()

    def names(chosen: Iterable[Variable]) -> str:
        return ", ".join(f"`{one.name}`" for one in chosen)

    pairs = (
        ("read by nothing", names(one for one in every if one.read == "X")),
        ("a value that changes nothing", names(one for one in every if one.noop)),
        ("inert without a partner", names(one for one in every if one.needs_args or one.needs_env)),
        ("no case can pass with it", names(one for one in every if one.never)),
        ("a value that is often misread", names(one for one in every if one.misread)),
        ("hides evidence (removed from every case)", names(one for one in every if one.hides)),
        (
            "pairs that hide the GPU",
            "`ROCR_VISIBLE_DEVICES` and `HIP_VISIBLE_DEVICES`, filters one after the other",
        ),
    )
    return _table(("trap", "variables"), pairs)


def _component(group: list[Variable]) -> list[str]:
    rows = []
    for one in group:
        effect = one.effect + (f". {one.note[0].upper()}{one.note[1:]}" if one.note else "")
        extra = [f"`{value}` changes nothing: {text}" for value, text in one.noop.items()]
        extra += [f"`{value}` {text}" for value, text in one.misread.items()]
        if one.never:
            extra.append(one.never)
        if one.instead:
            extra.append(one.instead)
        if one.since:
            extra.append(f"since {one.since}")
        values = one.values + (f" (default {one.default})" if one.default else "")
        rows.append((f"`{one.name}`", values, one.read, "; ".join([effect, *extra]), f"`{one.source}`"))
    return _table(("variable", "values", "read", "effect", "source"), rows)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return lines + ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]


if __name__ == "__main__":
    sys.stdout.write(environment_markdown())
