"""Which properties a list of users may hold: https://learn.microsoft.com/en-us/graph/api/user-list."""

import pytest

from entra_users.properties import DEFAULT_SELECT, LISTABLE, SINGLE_USER_ONLY, select_faults
from simulator.properties import PROPERTIES


def test_every_property_of_graphs_user_type_is_either_listed_or_refused_with_its_reason() -> None:
    """The simulator's table is made from Graph's own metadata."""
    assert {name for name in PROPERTIES if PROPERTIES[name].single} == SINGLE_USER_ONLY
    assert {name for name in PROPERTIES if not PROPERTIES[name].single} == LISTABLE | {"signInActivity"}


def test_the_default_properties_can_be_read() -> None:
    assert select_faults(DEFAULT_SELECT) == []
    assert DEFAULT_SELECT[:2] == ("id", "createdDateTime")


@pytest.mark.parametrize("name", ["extension_ab12cd34_costCenter", "contoso_courses", "ext3fx2v_room"])
def test_extensions_can_be_read(name: str) -> None:
    assert select_faults([name]) == []


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("aboutMe", "aboutMe is given by Graph for one user at a time only, never in a list (501)."),
        (
            "signInActivity",
            (
                "signInActivity is limited by Graph to 10 requests a minute and needs AuditLog.Read.All and a Microsoft"
                " Entra ID P1 licence: a complete list would take hours."
            ),
        ),
        ("DisplayName", "DisplayName is spelt displayName."),
        ("ABOUTME", "ABOUTME is spelt aboutMe."),
        ("manager", "manager is not a property of Graph's user type."),
        ("id/mail", "id/mail is not a property of Graph's user type."),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_reason(name: str, fault: str) -> None:
    assert select_faults(["id", name, "mail"]) == [fault]
