"""Bars from CSV: what is accepted, what is refused in one clear line; windows with gaps are left out."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from ratchet.errors import BadInput, Unavailable

from local.seeding import prices
from local.seeding.destinations import Copy, Rest
from local.seeding.seed import seed_returns
from local.seeding.tables import build

HEAD = "timestamp,open,high,low,close,volume"
NOW = datetime(2026, 11, 21, 4, 7, tzinfo=UTC)


class Kept:
    """A destination that keeps what it is given."""

    def replace(self, tables, marker):
        self.tables, self.marker = tables, marker


def written(path, minutes, left_out=()):
    start = datetime(2022, 1, 1, tzinfo=UTC)
    walk = 100 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.001, minutes)))
    lines = [HEAD]
    for i, close in enumerate(walk.tolist()):
        if i not in left_out:
            at = (start + timedelta(minutes=i)).strftime("%Y-%m-%d %H:%M:%S.%f")
            lines.append(f"{at},{close},{close * 1.001},{close * 0.999},{close},{100 + i}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("2022-01-01 00:00:00,1,2,1", "line 2 has 4 fields"),
        ("yesterday,1,2,1,1,5", "line 2: Invalid isoformat"),
        ("2022-01-01 00:00:00,1,2,1,x,5", "line 2: could not convert"),
        ("2022-01-01 00:00:00,1,2,1,3,5", "line 2: the prices must be positive"),
        ("2022-01-01 00:00:00,nan,2,1,1,5", "line 2: the prices must be positive"),
        ("2022-01-01 00:00:15,1,2,1,1,5", "line 2: .* not on the minute"),
        ("", "has a header and no bars"),
    ],
)
def test_a_bad_line_is_named_with_its_fault(tmp_path, line, told):
    file = tmp_path / "bars.csv"
    file.write_text(f"{HEAD}\n{line}\n")
    with pytest.raises(BadInput, match=told):
        prices.read_csv(file)


def test_a_wrong_header_a_missing_file_and_a_wrong_order_are_refused(tmp_path):
    file = tmp_path / "bars.csv"
    file.write_text("time,price\n")
    with pytest.raises(BadInput, match="the header must be timestamp,open"):
        prices.read_csv(file)
    with pytest.raises(BadInput, match="is not a file"):
        prices.read_csv(tmp_path / "absent.csv")
    row = "2022-01-01 00:00:00,1,2,1,1,5\n"
    file.write_text(f"{HEAD}\n{row}{row}")
    with pytest.raises(BadInput, match="line 3 is not later"):
        prices.read_csv(file)


def test_windows_with_a_gap_in_them_or_in_the_hour_before_are_left_out(tmp_path):
    whole = build(prices.read_csv(written(tmp_path / "whole.csv", 1440 + 300)))
    gaps = build(prices.read_csv(written(tmp_path / "gaps.csv", 1440 + 300, left_out={1440 + 105})))
    assert (len(whole.outcomes), whole.left_out) == (30, 0)
    assert gaps.left_out == 7
    assert len(gaps.outcomes) == 23


def test_too_few_bars_are_refused(tmp_path):
    with pytest.raises(BadInput, match=r"spans 10\.0 h; more than 24 h"):
        build(prices.read_csv(written(tmp_path / "short.csv", 600)))


def test_the_last_instant_is_now_and_the_data_are_marked(tmp_path):
    kept = Kept()
    report = seed_returns(kept, rows=20, clock=lambda: NOW)
    assert report.last == datetime(2026, 11, 21, 4, 0, tzinfo=UTC)
    assert (report.rows, report.ai_rows, report.synthetic) == (20, 21, True)
    assert int(kept.tables.outcomes[-1]) + 600 == int(report.last.timestamp())
    assert kept.marker.synthetic


def test_real_bars_keep_their_instants_without_a_shift(tmp_path):
    bars = prices.read_csv(written(tmp_path / "bars.csv", 1440 + 300))
    report = seed_returns(Kept(), bars=bars, rows=10, shift=False)
    assert report.last == datetime(2022, 1, 2, 5, 0, tzinfo=UTC)
    assert (report.rows, report.synthetic) == (10, False)
    assert report.source == "bars of bars.csv"


def test_no_rows_are_refused():
    with pytest.raises(BadInput, match="0 rows cannot be seeded"):
        seed_returns(Kept(), rows=0)


@pytest.mark.parametrize(
    "destination", [Copy("postgresql://nobody@127.0.0.1:1/none"), Rest("http://127.0.0.1:1", "key")]
)
def test_an_unreachable_destination_is_one_clear_line(destination):
    with pytest.raises(Unavailable) as caught:
        seed_returns(destination, rows=2, clock=lambda: NOW)
    assert "\n" not in str(caught.value)
