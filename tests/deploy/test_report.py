import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from acclimate_contract import AcclimateError
from acclimate_deploy.bag import BagError
from acclimate_deploy.flight_log import TOPICS, FlightLogError
from acclimate_deploy.report import ReportError, ReportSummary, write_report
from acclimate_deploy.report.drawing import thin

from . import synthetic_flight as synthetic

VOID = {"meta", "br", "hr", "img", "link", "input", "col", "wbr"}
SECTIONS = ["verdict", "what-flew", "key-figures", "what-tripped", "timeline"]
PLOTS = ["path", "error", "position", "memory", "motors", "attitude", "timing"]


class Page(HTMLParser):
    """Collects what the tests ask for and fails on tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            self.ids += [value or ""] if name == "id" else []
            self.links += [value or ""] if name in ("src", "href", "xlink:href") else []

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> ReportSummary:
    folder = tmp_path_factory.mktemp("report")
    return write_report(synthetic.write_flight(folder / "flight"), folder / "flight.html")


@pytest.fixture(scope="module")
def page(summary: ReportSummary) -> Page:
    return Page(summary.html.read_text())


def test_page_is_well_formed_and_complete(page: Page) -> None:
    assert set(SECTIONS) <= set(page.ids)
    assert [name for name in page.ids if name.startswith("plot-")] == [f"plot-{n}" for n in PLOTS]
    assert page.tags.count("svg") == len(PLOTS)
    for text in ("completed", "Nothing tripped", "random", "2,084", "9f2c9f2c", "1.25 kg"):
        assert text in page.text


def test_page_needs_nothing_else(page: Page, summary: ReportSummary) -> None:
    outside = [link for link in page.links if not link.startswith(("#", "data:"))]
    assert outside == []
    assert {"script", "link", "iframe"}.isdisjoint(page.tags)
    html = summary.html.read_text()
    assert "@import" not in html
    assert set(re.findall(r"url\((.)", html)) <= {"#"}
    assert summary.html.stat().st_size < 3_000_000


def test_pictures_do_not_share_ids(page: Page, summary: ReportSummary) -> None:
    assert len(set(page.ids)) == len(page.ids)
    used = [link[1:] for link in page.links if link.startswith("#")]
    used += re.findall(r"url\(#([^)]*)\)", summary.html.read_text())
    assert used
    assert set(used) <= set(page.ids)


def test_figures_are_those_computed_by_hand(summary: ReportSummary) -> None:
    figures = summary.figures
    flight = synthetic.fly()
    assert summary.completed
    assert figures.armed_s == pytest.approx(synthetic.DISARM_S - synthetic.ARM_S, abs=1e-6)
    assert figures.recorded_s == pytest.approx(synthetic.DURATION_S, abs=0.01)
    # The figure eight starts so softly that its first samples still count as rest.
    assert figures.hover_rmse_m == pytest.approx(synthetic.HOVER_ERROR_M, abs=1e-5)
    # The rectangle rule over whole periods of a sine is exact.
    assert figures.figure_eight_rmse_m == pytest.approx(synthetic.eight_rmse_m(), abs=1e-9)
    assert figures.landing_speed_m_s == pytest.approx(synthetic.LANDING_SPEED_M_S, abs=1e-6)
    tilt = 2.0 * np.arccos(np.clip(np.abs(flight.orientation[:, 0]), 0.0, 1.0))  # no yaw in it
    armed = (flight.time_s >= synthetic.ARM_S) & (flight.time_s < synthetic.DISARM_S)
    assert figures.max_tilt_rad == pytest.approx(tilt[armed].max(), abs=1e-9)
    assert figures.missed_ticks == synthetic.MISSED_TICKS
    assert figures.period_p50_s == pytest.approx(np.median(flight.period_s[armed]), rel=1e-6)
    assert figures.period_p99_s == pytest.approx(
        np.percentile(flight.period_s[armed], 99), rel=1e-6
    )
    assert figures.period_max_s == pytest.approx(flight.period_s[armed].max(), rel=1e-6)
    assert figures.latency_p99_s == pytest.approx(
        np.percentile(flight.latency_s[armed], 99), rel=1e-6
    )
    assert figures.bad_odometry == 0


def test_adaptation_to_the_payload(summary: ReportSummary) -> None:
    (payload,) = summary.figures.disturbances
    assert payload.text.startswith("payload attached")
    assert payload.time_s == pytest.approx(synthetic.PAYLOAD_S)
    assert payload.error_before_m == pytest.approx(synthetic.HOVER_ERROR_M, abs=1e-9)
    assert payload.error_peak_m == pytest.approx(synthetic.PAYLOAD_PEAK_M, abs=1e-4)
    # to the next odometry after the crossing
    assert payload.readapted_s == pytest.approx(synthetic.readapt_s(), abs=1.0 / 200)
    assert payload.error_after_m == pytest.approx(synthetic.HOVER_ERROR_M, abs=1e-6)


def test_figures_also_come_as_json(summary: ReportSummary) -> None:
    record = json.loads(summary.figures_json.read_text())
    assert summary.figures_json == summary.html.with_suffix(".json")
    assert record["verdict"]["status"] == "completed"
    assert record["figures"]["hover_rmse_m"] == summary.figures.hover_rmse_m
    assert record["figures"]["disturbances"][0]["readapted_s"] > 1.0
    assert record["policy"] == synthetic.POLICY


def test_rows_for_the_terminal(summary: ReportSummary, capsys: pytest.CaptureFixture[str]) -> None:
    rows = dict(summary.rows())
    assert rows["Verdict"] == "completed"
    assert rows["Hover RMSE"] == "5.0 cm"
    assert rows["Landing speed"] == "0.50 m/s"
    assert rows["Missed ticks"] == "3"
    summary.print_table()
    assert "Hover RMSE" in capsys.readouterr().out


def write(folder: Path, **options: object) -> tuple[ReportSummary, Page]:
    bag = synthetic.write_flight(folder / "flight", **options)  # type: ignore[arg-type]
    made = write_report(bag, folder / "flight.html")
    return made, Page(made.html.read_text())


def test_trip_is_the_verdict(tmp_path: Path) -> None:
    made, page = write(tmp_path, trip_s=15.0, until_s=16.0)
    assert made.verdict.status == "tripped"
    assert not made.completed
    assert made.verdict.time_s == pytest.approx(15.0)
    assert "tilt 1.31 rad is over the limit" in made.verdict.sentence
    assert page.text.count("tilt 1.31 rad is over the limit 1.20 rad") >= 2
    assert "Nothing tripped" not in page.text
    assert made.figures.landing_speed_m_s is None
    assert made.figures.armed_s == pytest.approx(14.0, abs=1e-6)


def test_not_back_within_the_flight(tmp_path: Path) -> None:
    """The recording ends before the error is back and has stayed for half a second."""
    made, page = write(tmp_path, until_s=synthetic.PAYLOAD_S + synthetic.readapt_s() + 0.4)
    assert made.figures.disturbances[0].readapted_s is None
    assert "not within the flight" in page.text
    assert made.verdict.status == "not completed"
    assert "still armed" in made.verdict.sentence


def test_disarmed_in_the_air_is_no_landing(tmp_path: Path) -> None:
    def higher(flight: synthetic.Flight) -> synthetic.Flight:
        lift = np.where(flight.time_s > 2.0, 0.5, 0.0)[:, None] * np.array([0.0, 0.0, 1.0])
        return replace(flight, position=flight.position + lift)

    made, _ = write(tmp_path, change=higher)
    assert made.verdict.status == "not completed"
    assert "disarmed 0.50 m above the ground" in made.verdict.sentence
    assert made.figures.landing_speed_m_s is None


def test_never_armed(tmp_path: Path) -> None:
    made, _ = write(tmp_path, until_s=0.8)
    assert made.verdict.status == "not flown"
    assert made.figures.hover_rmse_m is None
    assert made.figures.armed_s == 0.0


@pytest.mark.parametrize(
    ("names", "left_out"),
    [
        (("odom",), 4),
        (("reference",), 1),
        (("actuators/command",), 1),
        (("policy/memory",), 1),
        (("policy/timing",), 1),
        (("safety/state",), 0),
        (("policy/command", "events", "robot/description", "policy/description"), 0),
        (tuple(name for name in TOPICS if name != "events"), len(PLOTS)),
    ],
)
def test_missing_topics_are_said(tmp_path: Path, names: tuple[str, ...], left_out: int) -> None:
    made, page = write(tmp_path, omit=names, until_s=1.2)
    assert made.missing == names
    assert f"Not recorded: {', '.join(names)}." in " ".join(page.text.split())
    assert set(SECTIONS) <= set(page.ids)
    assert page.tags.count("svg") == len(PLOTS) - left_out
    assert page.text.count("Not drawn") == left_out
    assert (made.verdict.status == "unknown") == ("safety/state" in names)
    assert ("robot/description was not recorded" in page.text) == ("robot/description" in names)


def test_flight_with_broken_numbers(tmp_path: Path) -> None:
    """The flights that most need a report: the estimator, the policy or a clock gave NaN."""

    def broken(flight: synthetic.Flight) -> synthetic.Flight:
        late = flight.time_s > 8.0
        arrays = {}
        for name in ("position", "orientation", "rate", "setpoint", "period_s", "memory"):
            values = getattr(flight, name).copy()
            values[late] = np.nan
            arrays[name] = values
        return replace(flight, **arrays)

    made, page = write(tmp_path, change=broken, until_s=9.0, trip_s=8.5)
    assert made.figures.bad_odometry == 200
    assert "200 odometry messages hold positions that are not a number" in page.text
    assert made.figures.hover_rmse_m == pytest.approx(synthetic.HOVER_ERROR_M, abs=1e-5)
    json.loads(made.figures_json.read_text(), parse_constant=pytest.fail)


def test_nothing_but_broken_numbers(tmp_path: Path) -> None:
    def broken(flight: synthetic.Flight) -> synthetic.Flight:
        arrays = {
            name: np.full_like(getattr(flight, name), np.nan)
            for name in ("position", "orientation", "rate", "setpoint", "period_s", "memory")
        }
        return replace(flight, **arrays)

    _, page = write(tmp_path, change=broken, until_s=2.0)
    assert page.tags.count("svg") == 0
    assert page.text.count("without a single usable value") == len(PLOTS)


def test_texts_from_the_bag_are_not_html(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(synthetic.ROBOT, "name", "<script>alert(1)</script>")
    monkeypatch.setitem(synthetic.ROBOT, "mass_kg", "heavy & soft")
    _, page = write(tmp_path, until_s=1.0)
    assert "script" not in page.tags
    assert "<script>alert(1)</script>" in page.text
    assert "heavy & soft" in page.text


def test_killed_recording_is_recovered_and_said(tmp_path: Path) -> None:
    done = synthetic.write_flight(tmp_path / "done", until_s=3.0)
    partial = tmp_path / "flight.partial" / "flight"
    partial.mkdir(parents=True)
    whole = (done / "done.mcap").read_bytes()
    (partial / "flight.mcap").write_bytes(whole[: len(whole) // 2])
    # one chunk holds a second and more, so cut where a recorder would have flushed
    with pytest.raises(BagError, match="cannot be recovered"):
        write_report(tmp_path / "flight.partial", tmp_path / "flight.html")
    assert not (tmp_path / "flight.html").exists()
    (partial / "flight.mcap").write_bytes(whole[:-50])
    made = write_report(tmp_path / "flight.partial", tmp_path / "flight.html")
    assert made.bag == tmp_path / "flight"
    assert "was recovered after its recorder had been killed" in " ".join(
        Page(made.html.read_text()).text.split()
    )


@pytest.mark.parametrize("name", ["matplotlib", "jinja2"])
def test_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(AcclimateError, match=rf"{name} is not .*pip install 'acclimate\[report\]'"):
        write_report(tmp_path / "flight", tmp_path / "flight.html")


def test_page_that_cannot_be_written(tmp_path: Path) -> None:
    bag = synthetic.write_flight(tmp_path / "flight", until_s=0.1)
    (tmp_path / "file").touch()
    with pytest.raises(ReportError, match=r"cannot write .*Fix: choose another path"):
        write_report(bag, tmp_path / "file" / "flight.html")
    (tmp_path / "flight.html").mkdir()
    with pytest.raises(ReportError, match="cannot write"):
        write_report(bag, tmp_path / "flight.html")
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []
    with pytest.raises(ReportError, match=r"choose a name that ends in \.html"):
        write_report(bag, tmp_path / "flight.json")


def test_old_page_survives_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bag = synthetic.write_flight(tmp_path / "flight", until_s=0.1)
    html = write_report(bag, tmp_path / "flight.html").html
    before = html.read_text()

    def torn(path: Path, _target: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", torn)
        with pytest.raises(ReportError, match="No space left on device"):
            write_report(bag, html)
    assert html.read_text() == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [
        "flight",
        "flight.html",
        "flight.json",
    ]


def test_what_is_no_flight(tmp_path: Path) -> None:
    with pytest.raises(FlightLogError, match="there is no bag"):
        write_report(tmp_path / "nowhere", tmp_path / "flight.html")
    assert list(tmp_path.iterdir()) == []


def test_importing_the_report_needs_no_extra() -> None:
    """A robot without matplotlib can ask for the verb and is told what to install."""
    code = (
        "import sys; sys.modules['matplotlib'] = sys.modules['jinja2'] = None\n"
        "import acclimate_deploy.report.page, acclimate_deploy.report.plots"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_thinning_keeps_spikes_and_gaps() -> None:
    time_s = np.arange(100_000) * 1e-3
    values = np.sin(time_s)
    values[54_321], values[77_777] = 9.0, np.nan
    fewer_s, fewer = thin(time_s, values, limit=1000)
    assert len(fewer_s) <= 1002
    assert (np.diff(fewer_s) > 0).all()
    assert np.nanmax(fewer) == 9.0
    assert np.isnan(fewer).sum() == 1
