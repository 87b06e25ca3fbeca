"""What a run found, as text, JSON, GitHub's commands and SARIF."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

import jsonschema
import pytest

from yolo_gp.lint.linting import LintSettings
from yolo_gp.lint.rendering import (
    repair_diff,
    report_data,
    report_github,
    report_text,
)
from yolo_gp.lint.report import LintReport, Unread, report_file
from yolo_gp.lint.sarif import report_sarif
from yolo_gp.rules import Rule

from .detectors import DETECTOR, changed
from .sarif_structure import SARIF_LOG

# An error that can be repaired, at line 38, and a warning that cannot, at line 10.
WRONG = changed(("filters=12", "filters=13"), ("=4800,5400", "=4800,6000"))
NAME = "my nets/50%, a:b.cfg"


def report_of(text: str, name: str = NAME, *, fix: bool = False) -> LintReport:
    return LintReport((report_file(text.encode(), name, LintSettings(), fix=fix),))


@pytest.fixture
def report() -> LintReport:
    clean = report_file(DETECTOR.encode(), "clean.cfg", LintSettings(), fix=False)
    unread = (Unread("gone.cfg", "cannot read cfg gone.cfg: no such file"),)
    return LintReport((*report_of(WRONG).files, clean), unread, ("setup.cfg",))


def test_text_shows_every_finding_with_its_line_and_counts_them(report: LintReport) -> None:
    blocks = report_text(report).split("\n\n")
    assert blocks[0].splitlines()[:3] == [
        f"{NAME}:10:12: warning: steps=6000 lies at or past the end, max_batches=6000, so the "
        "learning rate does not change there [YG522]",
        "   10 | steps=4800,6000",
        "      |            ^^^^",
    ]
    assert blocks[1].splitlines()[0] == (
        f"{NAME}:41:1: error: [yolo] needs (classes + 5) * masks = (1 + 5) * 2 = 12 channels, but "
        "layer 5 gives 13 [YG301]"
    )
    assert blocks[2:] == [
        "1 error, 1 warning in 1 of 2 files; 1 can be repaired with --fix; 1 that is not readable; "
        "1 file without a Darknet section left out"
    ]


def test_text_of_a_clean_run_is_one_line() -> None:
    assert report_text(report_of(DETECTOR)) == "1 file, no findings"
    silenced = changed(("steps=", "# lint: ignore YG522\nsteps="), ("5400", "6000"))
    assert report_text(report_of(silenced)) == "1 file, no findings; 1 silenced"
    assert report_text(report_of(WRONG, fix=True)).splitlines()[-1] == (
        "1 warning in 1 of 1 file; 1 repaired"
    )


def test_text_says_how_many_findings_are_not_shown() -> None:
    text = DETECTOR + "x\n" * 1200
    report = report_of(text, "a.cfg")
    assert report.files[0].dropped > 0
    assert f"a.cfg: ... and {report.files[0].dropped} more" in report_text(report)


def test_json_holds_every_finding_with_its_place(report: LintReport) -> None:
    data: dict[str, Any] = json.loads(json.dumps(report_data(report)))
    assert data["schema_version"] == 1
    assert {key: data[key] for key in ("errors", "warnings", "silenced", "mended")} == {
        "errors": 1,
        "warnings": 1,
        "silenced": 0,
        "mended": 0,
    }
    assert data["unread"] == [
        {"file": "gone.cfg", "reason": "cannot read cfg gone.cfg: no such file"}
    ]
    assert data["left_out"] == ["setup.cfg"]
    assert [file["file"] for file in data["files"]] == [NAME, "clean.cfg"]
    warning, error = data["files"][0]["findings"]
    assert warning == {
        "code": "YG522",
        "rule": "late_step",
        "severity": "warning",
        "line": 10,
        "column": 12,
        "end_column": 16,
        "message": "steps=6000 lies at or past the end, max_batches=6000, so the learning rate "
        "does not change there",
        "expected": None,
        "help": "Darknet advises 80 and 90 % of it: steps=4800,5400",
        "fixable": False,
    }
    assert (error["code"], error["severity"], error["fixable"]) == ("YG301", "error", True)


def test_json_after_repairs_tells_what_was_mended() -> None:
    (file,) = report_data(report_of(WRONG, fix=True))["files"]  # type: ignore[misc, attr-defined]
    assert [finding["code"] for finding in file["mended"]] == ["YG301"]
    assert [finding["code"] for finding in file["findings"]] == ["YG522"]


def test_github_commands_escape_what_the_runner_would_misread(report: LintReport) -> None:
    lines = report_github(report).splitlines()
    # GitHub's toolkit: % CR LF everywhere, and : , in properties
    assert lines[0] == (
        "::warning file=my nets/50%25%2C a%3Ab.cfg,line=10,col=12,endColumn=16,title=YG522::"
        "steps=6000 lies at or past the end, max_batches=6000, so the learning rate does not "
        "change there%0Ahelp: Darknet advises 80 and 90 %25 of it: steps=4800,5400"
    )
    assert lines[1].startswith("::error file=my nets/50%25%2C a%3Ab.cfg,line=41,col=1,")
    assert lines[2:] == [
        "::error file=gone.cfg,title=unread::cannot read cfg gone.cfg: no such file"
    ]


def test_sarif_has_the_published_structure(report: LintReport) -> None:
    log = json.loads(json.dumps(report_sarif(report, "1.2.3")))
    jsonschema.validate(log, SARIF_LOG)
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("yolo-gp lint", "1.2.3")
    assert [rule["id"] for rule in driver["rules"]] == sorted(rule.code for rule in Rule)
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is False
    assert invocation["toolExecutionNotifications"][0]["message"]["text"].startswith("cannot read")
    for result in run["results"]:  # 3.27.6: the index means the rule of that id
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]


def test_a_sarif_result_stands_at_its_place_and_carries_its_repair(report: LintReport) -> None:
    warning, error = report_sarif(report, "1")["runs"][0]["results"]  # type: ignore[index]
    assert (warning["ruleId"], warning["level"], error["level"]) == ("YG522", "warning", "error")
    place = warning["locations"][0]["physicalLocation"]
    assert place["region"] == {"startLine": 10, "startColumn": 12, "endColumn": 16}
    uri = place["artifactLocation"]["uri"]
    assert " " not in uri and unquote(uri) == NAME
    assert "fixes" not in warning
    (change,) = error["fixes"][0]["artifactChanges"]
    (replacement,) = change["replacements"]
    assert replacement == {
        "deletedRegion": {"startLine": 38, "startColumn": 9, "endColumn": 11},
        "insertedContent": {"text": "12"},
    }


def test_a_sarif_repair_that_moves_a_comment_inserts_a_line() -> None:
    text = changed(("activation=leaky", "activation=leaky # x"))
    log = report_sarif(report_of(text), "1")
    jsonschema.validate(log, SARIF_LOG)
    (result,) = log["runs"][0]["results"]  # type: ignore[index]
    inserted, deleted = result["fixes"][0]["artifactChanges"][0]["replacements"]
    assert inserted["insertedContent"] == {"text": "# x\n"}
    assert inserted["deletedRegion"] == {"startLine": 19, "startColumn": 1, "endColumn": 1}
    # "activation=leaky" has 16 characters; " # x" goes
    assert deleted["deletedRegion"] == {"startLine": 19, "startColumn": 17, "endColumn": 21}


def test_an_absolute_path_is_a_file_uri() -> None:
    log = report_sarif(report_of(WRONG, "/nets/a b.cfg"), "1")
    (artifact,) = log["runs"][0]["artifacts"]  # type: ignore[index]
    assert artifact["location"]["uri"] == "file:///nets/a%20b.cfg"


def test_the_diff_of_a_repair_names_the_file() -> None:
    (file,) = report_of(WRONG, fix=True).files
    lines = b"".join(repair_diff(file)).decode().splitlines()
    assert lines[:2] == [f"--- {NAME}", f"+++ {NAME} (repaired)"]
    assert [line for line in lines[2:] if line[0] in "+-"] == ["-filters=13", "+filters=12"]
