"""`Selector`: which machines a group is for, by their labels.

The form and meaning are those of Kubernetes' label selectors (its API reference, `LabelSelector`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from goosed_daemon.infra import fields as f
from goosed_daemon.infra.models.part import Part


class Requirement(Part):
    """One of `matchExpressions`."""

    key: f.LabelName = Field(description="The label.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(
        description="`NotIn` is true of a machine without the label, too."
    )
    values: tuple[f.Line, ...] = Field(
        (), validate_default=True, description="For `In` and `NotIn`."
    )

    @field_validator("values")
    @classmethod
    def _values_fit(cls, values: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        operator = info.data.get("operator")
        if operator in ("In", "NotIn") and not values:
            raise ValueError(f"{operator} needs at least one value")
        if operator in ("Exists", "DoesNotExist") and values:
            raise ValueError(f"{operator} takes no values")
        return values

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether this is true of a machine with these labels."""
        if self.operator == "Exists":
            return self.key in labels
        if self.operator == "DoesNotExist":
            return self.key not in labels
        return (labels.get(self.key) in self.values) == (self.operator == "In")


class Selector(Part):
    """Machines by their labels: all that is named here must be true. `{}` selects every machine."""

    match_labels: dict[f.LabelName, f.Line] = Field(
        {}, description="Labels that a machine must have, with their values."
    )
    match_expressions: tuple[Requirement, ...] = Field(
        (), description="What must be true of a machine's labels."
    )

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Whether a machine with these labels is one of them."""
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            requirement.holds(labels) for requirement in self.match_expressions
        )
