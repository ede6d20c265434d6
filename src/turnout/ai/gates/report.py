"""What the gates say: one report each, and a verdict over all of them, short enough for a person and for a model."""

from __future__ import annotations

from msgspec import Struct, field

from ..changeset import Finding

REPORT_BYTES = 4_096


class GateReport(Struct, frozen=True):
    """How one gate ended.

    Attributes:
        name: ``G2 routes``.
        ok: Nothing stands against the change; also where there was nothing to look at, which a note says.
        layers: What the jail had in force; empty where nothing was run.
        notes: What could not be looked at, and why. Never hidden.
    """

    name: str
    ok: bool
    findings: list[Finding] = field(default_factory=list)
    layers: list[str] = field(default_factory=list)
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    def text(self) -> str:
        """The report, at most 4 KB: what is over is counted, not cut in the middle of a line."""
        head = f"{self.name}: {'ok' if self.ok else 'refused'} ({self.seconds:.1f} s)"
        lines = [head, *map(_line, self.findings), *(f"note: {_cut(note)}" for note in self.notes)]
        kept: list[str] = []
        size = 0
        for at, line in enumerate(lines):
            size += len(line.encode()) + 1
            if size > REPORT_BYTES - 40:
                kept.append(f"... and {len(lines) - at} more")
                break
            kept.append(line)
        return "\n".join(kept)


def _line(finding: Finding) -> str:
    return _cut(str(finding))


def _cut(line: str) -> str:
    plain = " ".join(line.split())  # one finding, one line, whatever an exception's text was
    return plain if len(plain) <= 500 else plain[:497] + "..."


class Verdict(Struct, frozen=True):
    """What all gates together say.

    Attributes:
        proved: Every gate ran and none refused.
    """

    proved: bool
    reports: list[GateReport]

    @property
    def findings(self) -> list[Finding]:
        """The findings of every gate."""
        return [finding for report in self.reports for finding in report.findings]

    def text(self) -> str:
        """The reports one below the other, at most 4 KB: those that refused first."""
        ordered = sorted(self.reports, key=lambda report: report.ok)
        text = "\n".join(report.text() for report in ordered)
        data = text.encode()
        if len(data) <= REPORT_BYTES:
            return text
        return data[: REPORT_BYTES - 8].decode(errors="ignore").rpartition("\n")[0] + "\n..."
