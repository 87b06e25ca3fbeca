"""`yolo-gp lint`."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Run

GOOD = """\
[net]
width=32
height=32
channels=3

[convolutional]
filters=18
activation=linear

[yolo]
anchors=4,6, 8,9, 20,22
classes=1
num=3
"""
BAD = GOOD.replace("filters=18", "filters=21").replace("num=3", "num=3\nclasses=2")
FINDINGS = """\
a.cfg:10:1: error: [yolo] needs (classes + 5) * masks = (1 + 5) * 3 = 18 channels (no mask: all \
anchors count), but layer 0 gives 21 [YG301]
   10 | [yolo]
      | ^^^^^^
expected: filters=18 in the section at line 6
help: set filters=18 there, or mend classes=1 or mask here

a.cfg:14:1: warning: classes=2 repeats the key of line 12; classes=1 counts, as in Darknet [YG103]
   14 | classes=2
      | ^^^^^^^
help: remove line 14 or line 12

"""
PATCH = """\
--- a.cfg
+++ a.cfg (repaired)
@@ -4,11 +4,11 @@
 channels=3
{blank}
 [convolutional]
-filters=21
+filters=18
 activation=linear
{blank}
 [yolo]
 anchors=4,6, 8,9, 20,22
 classes=1
 num=3
-classes=2
+# classes=2
""".replace("{blank}", " ")


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "a.cfg"
    path.write_text(BAD)
    return path


def test_findings_are_printed_and_exit_with_1(yolo_gp: Run, bad: Path) -> None:
    result = yolo_gp("lint", "a.cfg")
    assert (result.returncode, result.stderr) == (1, "")
    assert result.stdout == (
        FINDINGS + "1 error, 1 warning in 1 of 1 file; 2 can be repaired with --fix\n"
    )
    assert bad.read_text() == BAD


def test_a_clean_file_exits_with_0(yolo_gp: Run, tmp_path: Path) -> None:
    (tmp_path / "a.cfg").write_text(GOOD)
    result = yolo_gp("lint", "a.cfg")
    assert (result.returncode, result.stdout, result.stderr) == (0, "1 file, no findings\n", "")


def test_a_packaged_cfg_is_found_by_name(yolo_gp: Run) -> None:
    assert yolo_gp("lint", "yolov3-tiny.cfg").stdout == "1 file, no findings\n"


def test_a_folder_means_the_cfg_files_below_it_each_once(
    yolo_gp: Run, bad: Path, tmp_path: Path
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/b.CFG").write_text(GOOD)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden/c.cfg").write_text(BAD)
    (tmp_path / "setup.cfg").write_text("[metadata]\nname = x\n")
    (tmp_path / "notes.txt").write_text("[net]\n")
    result = yolo_gp("lint", ".", "a.cfg")
    assert result.returncode == 1
    assert result.stdout.splitlines()[-1] == (
        "1 error, 1 warning in 1 of 2 files; 2 can be repaired with --fix; 1 file without a "
        "Darknet section left out"
    )


def test_a_file_that_is_named_is_checked_whatever_it_holds(yolo_gp: Run, tmp_path: Path) -> None:
    (tmp_path / "setup.cfg").write_text("[metadata]\nname = x\n")
    result = yolo_gp("lint", "setup.cfg")
    assert result.returncode == 1 and "[YG002]" in result.stdout


def test_a_file_that_cannot_be_read_does_not_keep_the_others_from_it(
    yolo_gp: Run, tmp_path: Path
) -> None:
    (tmp_path / "a.cfg").write_text(GOOD)
    result = yolo_gp("lint", "sub/gone.cfg", "a.cfg")
    assert (result.returncode, result.stdout) == (
        1,
        "1 file, no findings; 1 that is not readable\n",
    )
    assert result.stderr == "error: cannot read cfg sub/gone.cfg: no such file or directory\n"


def test_binary_files_are_findings(yolo_gp: Run, tmp_path: Path) -> None:
    (tmp_path / "x.cfg").write_bytes(b"\0\1\2" * 99)
    (tmp_path / "a.cfg").write_text(GOOD)
    result = yolo_gp("lint", "x.cfg", "a.cfg")
    assert result.returncode == 1
    assert "NUL bytes" in result.stdout and "in 1 of 2 files" in result.stdout


def test_a_call_that_names_nothing_readable_exits_with_2(yolo_gp: Run, tmp_path: Path) -> None:
    assert yolo_gp("lint", "sub/gone.cfg").returncode == 2
    unknown = yolo_gp("lint", "yolov99.cfg")
    assert unknown.returncode == 2
    assert unknown.stderr.startswith("error: there is no cfg yolov99.cfg\nexpected: the path of")
    (tmp_path / "empty").mkdir()
    empty = yolo_gp("lint", "empty")
    assert (empty.returncode, empty.stderr) == (2, "error: there is no .cfg file in empty\n")
    nothing = yolo_gp("lint")
    assert (nothing.returncode, nothing.stderr) == (
        2,
        "error: no file to check\nexpected: cfg files or folders, or --explain CODE\n",
    )


def test_fix_rewrites_the_file_and_shows_the_change(yolo_gp: Run, bad: Path) -> None:
    result = yolo_gp("lint", "--fix", "a.cfg")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == PATCH + "1 file, no findings; 2 repaired\n"
    fixed = GOOD + "# classes=2\n"
    assert bad.read_text() == fixed
    again = yolo_gp("lint", "--fix", "a.cfg")
    assert (again.returncode, again.stdout) == (0, "1 file, no findings\n")


def test_a_file_that_comes_with_yolo_gp_is_not_repaired(
    yolo_gp: Run, bad: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("yolo_gp.zoo.find_cfg", lambda *_: bad)
    result = yolo_gp("lint", "--fix", "known.cfg")
    assert result.returncode == 1
    assert result.stderr == (
        f"error: {bad} is not yours to repair\nexpected: --fix with the path of a file\n"
    )
    assert bad.read_text() == BAD


def test_fix_repairs_only_what_is_selected(yolo_gp: Run, bad: Path) -> None:
    result = yolo_gp("lint", "--fix", "--select", "YG103", "a.cfg")
    assert result.returncode == 0
    assert bad.read_text() == BAD.replace("classes=2", "# classes=2")


def test_what_cannot_be_repaired_is_left_and_exits_with_1(yolo_gp: Run, bad: Path) -> None:
    bad.write_text(BAD.replace("height=32", "height=32\nhieght=7"))
    result = yolo_gp("lint", "--fix", "a.cfg")
    assert result.returncode == 1
    assert "[YG102]" in result.stdout and "[YG103]" not in result.stdout
    assert result.stdout.splitlines()[-1] == "1 warning in 1 of 1 file; 2 repaired"


def test_diff_shows_the_change_and_writes_nothing(yolo_gp: Run, bad: Path) -> None:
    result = yolo_gp("lint", "--diff", "a.cfg")
    assert (result.returncode, result.stdout) == (1, PATCH)
    assert bad.read_text() == BAD


@pytest.mark.skipif(os.name == "nt", reason="links and modes are those of POSIX")
def test_fix_keeps_links_and_modes(yolo_gp: Run, bad: Path, tmp_path: Path) -> None:
    bad.chmod(0o640)
    link = tmp_path / "link.cfg"
    link.symlink_to(bad)
    assert yolo_gp("lint", "--fix", "link.cfg").returncode == 0
    assert link.is_symlink() and stat.S_IMODE(bad.stat().st_mode) == 0o640
    assert bad.read_text() != BAD


def test_a_file_that_cannot_be_written_stays_whole_and_is_named(
    yolo_gp: Run, bad: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    result = yolo_gp("lint", "--fix", "a.cfg")
    assert result.returncode == 1
    assert result.stderr == "error: cannot write a.cfg: permission denied\n"
    assert bad.read_text() == BAD
    assert list(bad.parent.iterdir()) == [bad]


def test_names_and_data_are_compared_with_the_classes(yolo_gp: Run, tmp_path: Path) -> None:
    (tmp_path / "a.cfg").write_text(GOOD)
    (tmp_path / "a.names").write_text("cat\ndog\n")
    (tmp_path / "a.data").write_text("classes=3\nnames=a.names\n")
    named = yolo_gp("lint", "--names", "a.names", "a.cfg")
    assert named.returncode == 1
    assert "[yolo] has 1 class, but a.names (a name a line) says 2 [YG503]" in named.stdout
    both = yolo_gp("lint", "--data", "a.data", "a.cfg").stdout
    assert "classes of a.data says 3 [YG503]" in both and "a.names (a name" in both
    gone = yolo_gp("lint", "--names", "gone", "a.cfg")
    assert (gone.returncode, gone.stdout) == (5, "")
    assert gone.stderr == "error: cannot read names gone: no such file or directory\n"


def test_codes_are_selected_and_ignored(yolo_gp: Run, bad: Path) -> None:
    only = yolo_gp("lint", "--select", "YG3", "a.cfg")
    assert "[YG301]" in only.stdout and "[YG103]" not in only.stdout
    neither = yolo_gp("lint", "--ignore", "YG301,YG1", "a.cfg")
    assert (neither.returncode, neither.stdout) == (0, "1 file, no findings\n")
    wrong = yolo_gp("lint", "--ignore", "YG999", "a.cfg")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("error: --ignore YG999 is no rule\nexpected: codes such as")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--format", "xml"],
            "--format xml is unknown\nexpected: one of text, json, github, sarif",
        ),
        (["--diff", "--fix"], "--diff stands beside --fix\nexpected: one of the two"),
        (["--diff", "--format", "json"], "--diff stands beside --format json"),
    ],
)
def test_flags_that_do_not_work_together_are_refused(
    yolo_gp: Run, bad: Path, arguments: list[str], message: str
) -> None:
    result = yolo_gp("lint", *arguments, "a.cfg")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error: {message}")


@pytest.mark.parametrize("format", ["json", "sarif"])
def test_machine_formats_are_one_json_object_with_or_without_findings(
    yolo_gp: Run, bad: Path, tmp_path: Path, format: str
) -> None:
    (tmp_path / "b.cfg").write_text(GOOD)
    found = yolo_gp("lint", "--format", format, "a.cfg", "b.cfg")
    assert (found.returncode, found.stderr) == (1, "")
    assert "YG301" in json.dumps(json.loads(found.stdout))
    clean = yolo_gp("lint", "--format", format, "b.cfg")
    assert clean.returncode == 0 and json.loads(clean.stdout)


def test_json_counts(yolo_gp: Run, bad: Path) -> None:
    data = json.loads(yolo_gp("lint", "--format", "json", "--fix", "a.cfg").stdout)
    assert (data["schema_version"], data["errors"], data["warnings"], data["mended"]) == (
        1,
        0,
        0,
        2,
    )


def test_github_prints_nothing_but_commands(yolo_gp: Run, bad: Path, tmp_path: Path) -> None:
    lines = yolo_gp("lint", "--format", "github", "a.cfg").stdout.splitlines()
    assert [line.split(" ")[0] for line in lines] == ["::error", "::warning"]
    (tmp_path / "b.cfg").write_text(GOOD)
    assert yolo_gp("lint", "--format", "github", "b.cfg").stdout == ""


def test_a_dialect_that_is_given_decides_what_counts(yolo_gp: Run, tmp_path: Path) -> None:
    text = GOOD.replace("filters=18", "filters=21\nfilters=18")
    (tmp_path / "a.cfg").write_text(text)
    # Of two equal keys Darknet takes the first, 21, which does not fit the head; YOLOR the last.
    darknet = yolo_gp("lint", "a.cfg", "--dialect", "darknet", "--select", "YG3")
    assert "layer 0 gives 21 [YG301]" in darknet.stdout
    assert yolo_gp("lint", "a.cfg", "--dialect", "yolor", "--select", "YG3").returncode == 0
    assert yolo_gp("lint", "a.cfg", "--dialect", "latin").returncode == 2


def test_explain_prints_a_rule_or_all_of_them(yolo_gp: Run) -> None:
    one = yolo_gp("lint", "--explain", "YG301")
    assert one.returncode == 0
    assert one.stdout.startswith("YG301 head_filters: channels before a head are not what")
    everything = yolo_gp("lint", "--explain", "all").stdout
    assert everything.startswith("# What `yolo-gp lint` finds\n")
    unknown = yolo_gp("lint", "--explain", "YG3O1")
    assert unknown.returncode == 2
    assert unknown.stderr.startswith("error: there is no rule YG3O1\nexpected: all, or one of")


def test_other_commands_do_not_report_what_only_lint_looks_for(
    yolo_gp: Run, tmp_path: Path
) -> None:
    text = GOOD.replace("channels=3", "channels=3\nmax_batches=100\nburn_in=200")
    (tmp_path / "a.cfg").write_text(text)
    assert "[YG523]" in yolo_gp("lint", "a.cfg").stdout
    assert yolo_gp("info", "a.cfg").stderr == ""


def test_lint_loads_neither_torch_nor_numpy(tmp_path: Path) -> None:
    (tmp_path / "a.cfg").write_text(BAD)
    code = (
        "import sys\nfrom yolo_gp.cli import main\nsys.argv = ['yolo-gp', 'lint', 'a.cfg']\n"
        "try:\n    main.run()\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('torch', 'numpy', 'yolo_gp.zoo') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.splitlines()[-1] == "[]"
