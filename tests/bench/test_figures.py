"""Tables of figures: medians, spreads, ratios to a baseline, and verdicts."""

import pytest

from bench.figures import Figure, Table, Target, number, render


def test_a_table_shows_median_spread_ratio_and_verdict() -> None:
    base = Figure(name="loop", unit="ms", values=[2.0, 4.0, 3.0])
    mine = Figure(
        name="app", unit="ms", values=[2.2, 4.2, 3.6], base=base, target=Target(limit=1.1, ratio=True), note="why"
    )
    one = Figure(name="size", unit="MB", values=[37.12], target=Target(limit=60))
    assert render(Table(title="Pages", figures=[base, mine, one], notes=["what"])) == (
        "### Pages\n"
        "\n"
        "|      |  median |      spread | ratio | target        |      |\n"
        "|------|--------:|------------:|------:|---------------|------|\n"
        "| loop |    3 ms |       2 - 4 |       |               |      |\n"
        "| app  | 3.60 ms | 2.20 - 4.20 | 1.10x | at most 1.10x | PASS |\n"
        "| size | 37.1 MB |   one round |       | at most 60 MB | PASS |\n"
        "\n"
        "- app: why\n"
        "- what\n"
    )


def test_a_ratio_is_of_rounds_and_not_of_medians() -> None:
    """What slows a whole round slows both, and so is not counted for one of them."""
    base = Figure(name="loop", unit="s", values=[1.0, 10.0, 1.0])
    assert Figure(name="app", unit="s", values=[2.0, 20.0, 2.0], base=base).ratio == pytest.approx(2.0)
    assert Figure(name="app", unit="s", values=[3.0], base=base).ratio == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("target", "values", "verdict"),
    [
        (Target(limit=100), [100, 99, 300], "PASS"),
        (Target(limit=100), [101], "MISS"),
        (Target(limit=14, least=True), [14], "PASS"),
        (Target(limit=14, least=True), [13.9], "MISS"),
        (None, [1], ""),
    ],
)
def test_a_verdict_is_of_the_median(target: Target | None, values: list[float], verdict: str) -> None:
    assert Figure(name="x", unit="", values=values, target=target).verdict == verdict


def test_a_target_for_a_ratio_needs_a_baseline() -> None:
    with pytest.raises(ValueError, match="x has a target for its ratio, and no baseline"):
        _ = Figure(name="x", unit="", values=[1], target=Target(limit=1, ratio=True)).verdict


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (1234.5, "1,234"), (99.95, "100.0"), (12.34, "12.3"), (1.234, "1.23"), (3.0, "3")]
)
def test_numbers_have_as_many_digits_as_say_something(value: float, text: str) -> None:
    assert number(value) == text
