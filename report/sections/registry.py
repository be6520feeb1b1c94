"""The sections of the training page, in the order in which they stand."""

from __future__ import annotations

from report.sections.answers import ANSWERS
from report.sections.choice import CHOICE
from report.sections.data import DATA
from report.sections.errs import ERRS
from report.sections.export import EXPORT
from report.sections.gains import GAINS
from report.sections.gate import GATE
from report.sections.knows import KNOWS
from report.sections.next import NEXT
from report.sections.provenance import PROVENANCE
from report.sections.section import Section
from report.sections.sure import SURE
from report.sections.training import TRAINING
from report.sections.unknown import UNKNOWN

SECTIONS: tuple[Section, ...] = (
    NEXT,
    ERRS,
    ANSWERS,
    KNOWS,
    DATA,
    UNKNOWN,
    SURE,
    TRAINING,
    CHOICE,
    GAINS,
    EXPORT,
    GATE,
    PROVENANCE,
)
