"""The report page of an experiment: sentences, tables and pictures on one HTML page."""

from variscope.reporting.page import (
    Accuracy,
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
