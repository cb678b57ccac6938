"""What is published, and what is refused."""

import pytest

from entra_users.errors import IncompleteDirectory, ShrinkRefused
from entra_users.guards import check_count, check_shrink


@pytest.mark.parametrize(
    ("users", "before", "after", "tolerance"),
    [
        (0, 0, 0, 0.001),
        (100, 100, 100, 0.0),
        (1, 1, 1, 0.0),
        # The directory grew or shrank meanwhile: anything between the counts.
        (100, 100, 110, 0.0),
        (105, 100, 110, 0.0),
        (105, 110, 100, 0.0),
        (110, 110, 100, 0.0),
        # The share is of the larger count, and at least one user.
        (99, 100, 100, 0.001),
        (101, 100, 100, 0.001),
        (9_990, 10_000, 10_000, 0.001),
        (10_010, 10_000, 10_000, 0.001),
        (90, 100, 100, 0.1),
        (89, 100, 110, 0.1),
        (1, 0, 1, 0.0),
        (0, 0, 0, 1.0),
        # Graph cannot count.
        (1, None, None, 0.0),
        (5, 100, None, 0.0),
        (5, None, 100, 0.0),
    ],
)
def test_users_within_the_tolerance_of_graphs_counts_are_published(
    users: int, before: int | None, after: int | None, tolerance: float
) -> None:
    assert check_count(users, before=before, after=after, tolerance=tolerance) is None


@pytest.mark.parametrize(
    ("users", "before", "after", "tolerance"),
    [
        (99, 100, 100, 0.0),
        (101, 100, 100, 0.0),
        (98, 100, 100, 0.001),
        (102, 100, 100, 0.001),
        (9_989, 10_000, 10_000, 0.001),
        (10_011, 10_000, 10_000, 0.001),
        (88, 100, 110, 0.1),
        (1, 0, 0, 0.5),
        # A slack that reaches down to none: an empty answer is still no directory.
        (0, 1, 1, 0.001),
        (0, 0, 1, 0.001),
        (0, 1, 0, 0.001),
        (0, 100, 100, 1.0),
        (0, None, None, 1.0),
        (0, 0, None, 1.0),
        (0, None, 0, 1.0),
    ],
)
def test_more_or_fewer_users_than_the_tolerance_allows_are_refused(
    users: int, before: int | None, after: int | None, tolerance: float
) -> None:
    with pytest.raises(IncompleteDirectory, match="nothing was published"):
        check_count(users, before=before, after=after, tolerance=tolerance)


def test_a_refused_count_says_all_numbers_and_the_setting() -> None:
    with pytest.raises(IncompleteDirectory) as caught:
        check_count(1_500, before=1_000, after=1_001, tolerance=0.001)
    assert str(caught.value) == (
        "1,500 users were read, and Graph counted 1,000 before and 1,001 after; nothing was published."
        " Run again; raise SYNC_COUNT_TOLERANCE (0.001) only if you know why they differ."
    )


@pytest.mark.parametrize(
    ("users", "before", "most", "force"),
    [
        (80, 100, 0.2, False),
        (100, 100, 0.0, False),
        (200, 100, 0.0, False),
        (0, 0, 0.2, False),
        (0, 100, 1.0, False),
        (79, 100, 0.2, True),
        (0, 100, 0.0, True),
    ],
)
def test_a_directory_may_shrink_by_the_share_allowed_or_by_force(
    users: int, before: int, most: float, force: bool
) -> None:
    assert check_shrink(users, before=before, most=most, force=force) is None


@pytest.mark.parametrize(("users", "before", "most"), [(79, 100, 0.2), (99, 100, 0.0), (0, 1, 0.2)])
def test_a_directory_that_shrinks_by_more_is_refused(users: int, before: int, most: float) -> None:
    with pytest.raises(ShrinkRefused) as caught:
        check_shrink(users, before=before, most=most, force=False)
    assert (caught.value.users, caught.value.removed) == (users, before - users)


def test_a_refused_shrink_says_how_to_force_it() -> None:
    with pytest.raises(ShrinkRefused) as caught:
        check_shrink(1_000, before=2_000, most=0.2, force=False)
    assert str(caught.value) == (
        "The directory would shrink from 2,000 to 1,000 users, by more than SYNC_MAX_SHRINK (20%); nothing was"
        " published. If they are really gone, run with --force (force=true over HTTP)."
    )
