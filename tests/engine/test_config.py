"""Configuration: found, checked with messages that help, merged, explained. And what it may never say."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from polyclone import config
from polyclone.config import DEFAULTS, Config, find_config, load_config, merge
from polyclone.errors import ConfigError, UsageError


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def load(tmp_path: Path, text: str) -> dict[str, object]:
    return dict(load_config(write(tmp_path / "polyclone.toml", text)).values)


FULL = """
min-probability = 0.9
same-language = true
min-atoms = 30
languages = ["java", "go", "JS"]
exclude = ["gen/", "!gen/keep.py"]
include-generated = true
include-vendored = true
max-file-bytes = 2000000
baseline = "ci/baseline.txt"
format = "json"
color = "never"
max-groups = 50
"""


def test_every_key_a_file_may_hold(tmp_path: Path) -> None:
    values = load(tmp_path, FULL)
    assert values == {
        "min_probability": 0.9,
        "same_language": True,
        "min_atoms": 30,
        "languages": ("go", "java", "javascript"),
        "exclude": ("gen/", "!gen/keep.py"),
        "include_generated": True,
        "include_vendored": True,
        "max_file_bytes": 2_000_000,
        "baseline": str(tmp_path / "ci/baseline.txt"),
        "format": "json",
        "color": "never",
        "max_groups": 50,
    }
    assert load(tmp_path, "precision = 1") == {"precision": 1.0}
    in_pyproject = write(tmp_path / "pyproject.toml", FULL.replace("\n", "\n[tool.polyclone]\n", 1))
    assert dict(load_config(in_pyproject).values) == values


def test_each_field_has_a_rule_and_the_defaults_obey_it() -> None:
    assert set(config._RULES) == {field.name for field in fields(Config)}
    for name, rule in config._RULES.items():
        value = getattr(DEFAULTS, name)
        if value is not None:
            assert rule.parse(value) == value


@pytest.mark.parametrize(
    ("text", "fragments"),
    [
        ("min-probability = 1.5", ["`min-probability`", "1.5", "above 0 and at most 1"]),
        ("min-probability = 0", ["`min-probability`", "above 0"]),
        ("min-probability = nan", ["nan"]),
        ("min-probability = true", ["true is not a number"]),
        ('min-probability = "0.9"', ['"0.9"']),
        ("same-language = 1", ["`same-language`: 1 is not true or false"]),
        ("min-atoms = 0", ["whole number"]),
        ("min-atoms = 2.5", ["whole number"]),
        ('exclude = "gen/"', ["a list of patterns"]),
        ("exclude = [1]", ["[1]"]),
        ('languages = ["pythn"]', ["pythn", "known are", "python"]),
        ('format = "jsn"', ['"jsn"', "text, json, sarif", "did you mean `json`?"]),
        ("min-probabilty = 0.9", ["unknown key `min-probabilty`", "did you mean `min-probability`?"]),
        ("min_probability = 0.9", ["unknown key `min_probability`", "did you mean `min-probability`?"]),
        ("zzz = 1", ["unknown key `zzz`", "known keys are", "exclude"]),
        ("min-probability = 0.9\nprecision = 0.9", ["`min-probability` and `precision`", "keep one"]),
        ('baseline = "../x"', ["stays inside"]),
        ('baseline = "/etc/x"', ["stays inside"]),
        ('baseline = "a/../../x"', ["stays inside"]),
        ('baseline = "C:\\\\x"', ["stays inside"]),
        ('baseline = "..\\\\x"', ["stays inside"]),
        ("= 1", ["not valid TOML", "line 1"]),
        ("a = 1\na = 2", ["not valid TOML"]),
    ],
)
def test_messages_name_file_key_value_and_remedy(tmp_path: Path, text: str, fragments: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    for fragment in [str(tmp_path / "polyclone.toml"), *fragments]:
        assert fragment in str(caught.value)


@pytest.mark.parametrize(
    "key", ["model", "executable", "cache-dir", "cache_dir", "Model", "api-key", "teacher", "jobs", "url"]
)
def test_a_repository_cannot_run_fetch_or_send(tmp_path: Path, key: str) -> None:
    with pytest.raises(ConfigError, match=r"refused.*thresholds, paths to skip and display.*command line"):
        load(tmp_path, f'{key} = "x"')


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "nowhere.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)
    (tmp_path / "polyclone.toml").write_bytes(b"exclude = ['\xff']")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_config(tmp_path / "polyclone.toml")
    (tmp_path / "polyclone.toml").write_bytes(b"\xef\xbb\xbfmin-atoms = 3")
    assert load_config(tmp_path / "polyclone.toml").values == {"min_atoms": 3}
    with pytest.raises(ConfigError, match="must be a table"):
        load_config(write(tmp_path / "pyproject.toml", "tool.polyclone = 3"))


def test_the_nearest_file_wins(tmp_path: Path) -> None:
    outer = write(tmp_path / "polyclone.toml", "")
    (tmp_path / "a/b/c").mkdir(parents=True)
    assert find_config(tmp_path / "a/b/c") == outer
    middle = write(tmp_path / "a/pyproject.toml", "[tool.polyclone]")
    write(tmp_path / "a/b/pyproject.toml", "[tool.other]")
    assert find_config(tmp_path / "a/b/c") == middle
    preferred = write(tmp_path / "a/polyclone.toml", "")
    assert find_config(tmp_path / "a/b/c") == preferred
    source = write(tmp_path / "a/b/c/x.py", "")
    assert find_config(source) == preferred


def test_the_search_ends_at_the_repository(tmp_path: Path) -> None:
    write(tmp_path / "polyclone.toml", "")
    (tmp_path / "repository/.git").mkdir(parents=True)
    (tmp_path / "repository/src").mkdir()
    assert find_config(tmp_path / "repository/src") is None
    inner = write(tmp_path / "repository/polyclone.toml", "")
    assert find_config(tmp_path / "repository/src") == inner
    worktree = write(tmp_path / "worktree/.git", "gitdir: elsewhere")
    assert find_config(worktree.parent) is None


def test_a_broken_pyproject_matters_only_if_it_is_ours(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    path = write(tmp_path / "pyproject.toml", "[tool.other]\nbroken")
    assert find_config(tmp_path) is None
    write(path, "[tool.polyclone]\nbroken")
    assert find_config(tmp_path) == path
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_config(path)


def test_layers_and_where_values_come_from(tmp_path: Path) -> None:
    path = write(tmp_path / "polyclone.toml", 'precision = 0.95\nexclude = ["a/"]\nmin-atoms = 9')
    resolved = merge(
        DEFAULTS,
        load_config(path),
        {"min_probability": 0.7, "exclude": ["b/"], "format": None, "jobs": 3, "min_atoms": 8},
    )
    expected = Config(min_probability=0.7, exclude=("a/", "b/"), jobs=3, min_atoms=8)
    assert resolved.config == expected
    assert resolved.exclude_base == tmp_path
    assert resolved.sources["min_probability"] == "command line"
    assert resolved.sources["precision"] == "command line (set aside by min-probability)"
    assert resolved.sources["exclude"] == f"{path} + command line"
    assert resolved.sources["format"] == "default"
    lines = resolved.explain().splitlines()
    assert len(lines) == len(fields(Config))
    assert any(line.split() == ["min-atoms", "8", "command", "line"] for line in lines)
    assert any(line.split()[:3] == ["exclude", '["a/",', '"b/"]'] for line in lines)
    assert any(line.split() == ["precision", "-", "command", "line", "(set", "aside", "by", "min-probability)"]
               for line in lines)  # fmt: skip


def test_the_defaults_alone() -> None:
    resolved = merge()
    assert resolved.config == DEFAULTS
    assert set(resolved.sources.values()) == {"default"}
    assert resolved.exclude_base is None
    assert merge(command_line={"exclude": ["x/"]}).exclude_base is None


@pytest.mark.parametrize(
    ("command_line", "message"),
    [
        ({"min_probability": 2}, "--min-probability: 2 is not a number above 0"),
        ({"formatt": "json"}, "no setting 'formatt'; did you mean `format`"),
        ({"min_probability": 0.5, "precision": 0.5}, "keep one of them"),
        ({"parse_timeout_s": 0}, "seconds"),
        ({"languages": ["klingon"]}, "klingon"),
    ],
)
def test_a_wrong_command_line(command_line: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        merge(command_line=command_line)


def test_the_command_line_may_point_anywhere() -> None:
    assert merge(command_line={"baseline": "/elsewhere/b.txt"}).config.baseline == "/elsewhere/b.txt"


toml_values = st.recursive(
    st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(config._RULES)) | st.text(max_size=8), toml_values, max_size=3))
def test_whatever_is_given_is_a_configuration_or_a_usage_error(command_line: dict[str, object]) -> None:
    try:
        resolved = merge(command_line=command_line)
    except UsageError as error:
        assert str(error)
    else:
        hash(resolved.config)
        assert resolved.explain()


def test_a_baseline_does_not_leave_the_folder_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "repo").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "repo" / "inside").symlink_to(tmp_path / "outside")
    (tmp_path / "repo" / "polyclone.toml").write_text('baseline = "inside/accepted"\n')
    with pytest.raises(ConfigError, match="leads out of the file's folder through a link"):
        load_config(tmp_path / "repo" / "polyclone.toml")
    (tmp_path / "repo" / "polyclone.toml").write_text('baseline = "ci/accepted"\n')
    assert load_config(tmp_path / "repo" / "polyclone.toml").values["baseline"]
