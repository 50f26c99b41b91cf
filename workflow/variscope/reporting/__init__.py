"""The report page of an experiment: sentences, tables and pictures on one HTML page."""

from variscope.reporting.page import (
    Accuracy,
    AgreementRow,
    Answered,
    AnswerRow,
    ClassCount,
    Data,
    Picture,
    PlanRow,
    Report,
    Study,
    TimingRow,
    VariableRow,
    build,
    write,
)

__all__ = [
    "Accuracy",
    "AgreementRow",
    "AnswerRow",
    "Answered",
    "ClassCount",
    "Data",
    "Picture",
    "PlanRow",
    "Report",
    "Study",
    "TimingRow",
    "VariableRow",
    "build",
    "write",
]
