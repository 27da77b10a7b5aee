"""Settings from files, and their mistakes: all at once, each with file, line and key."""

from pathlib import Path

import pytest
from pydantic import ConfigDict, create_model

from config.load import ConfigProblems, explain, load, read_tables, read_toml, spell
from config.settings import Settings

LEAST = '[node]\nname = "mx1.relay.example"\nstate = "state"\n'
SHIPPED = Path(__file__).parents[2] / "config"


@pytest.fixture
def write(tmp_path):
    def write(text: str | bytes) -> Path:
        file = tmp_path / "sluice.toml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file

    return write


def told(file: Path) -> list[str]:
    """The mistakes of `file`, without its name."""
    with pytest.raises(ConfigProblems) as caught:
        load(file)
    return [str(problem).removeprefix(f"{file}:") for problem in caught.value.problems]


def test_the_least_file_has_all_defaults(write, tmp_path):
    settings = load(write(LEAST))
    assert settings == Settings.model_validate({"node": {"name": "mx1.relay.example", "state": tmp_path / "state"}})
    assert settings.records_url == f"sqlite:///{tmp_path}/state/sluice.db"


def test_paths_start_at_the_folder_of_the_file(write, tmp_path, monkeypatch):
    file = write(
        LEAST + '[smtp]\ncertificate = "tls.crt"\nprivate_key = "/etc/tls.key"\n[quarantine]\nfolder = "../kept"\n'
    )
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    for name in (file, Path(file.name)):
        settings = load(name)
        assert settings.smtp.certificate == tmp_path / "tls.crt"
        assert settings.smtp.private_key == Path("/etc/tls.key")
        assert settings.quarantine_folder == tmp_path / "../kept"
        assert settings.node.state == tmp_path / "state"


def test_every_mistake_is_told_at_once_with_its_line_and_key(write):
    file = write(
        "# a comment\n"
        "[node]\n"
        'name = "-"\n'
        'stat = "x"\n'
        "[smtp]\n"
        'workers = "many"\n'
        "listen = [\n"
        '  "127.0.0.1:25",\n'
        '  "nowhere"]\n'
        "memory_bytes = -1\n"
        "require_tls = 5\n"
        'certificat = "x"\n'
        "[admission]\n"
        'networks = ["10.0.0.0/8", "10.0.0.1/8"]\n'
        'clouds = "worldwide"\n'
        "[delivery]\n"
        'tls = "maybe"\n'
        "roots = 1\n"
        "[engines]\n"
        "rspamd = 5\n"
        "[lgo]\n"
        "[xyzzy]\n"
    )
    assert told(file) == [
        "2: node.state: is required",
        "3: node.name: must match pattern '^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$'",
        "4: node.stat: unknown key; did you mean state?",
        "6: smtp.workers: must be a whole number",
        "9: smtp.listen[1]: must be HOST:PORT, for example 127.0.0.1:2525",
        "10: smtp.memory_bytes: must be greater than or equal to 0",
        "11: smtp.require_tls: must be true or false",
        "12: smtp.certificat: unknown key; did you mean certificate?",
        "14: admission.networks[1]: must be a network, for example 192.0.2.0/24, with no bits set behind the prefix",
        "15: admission.clouds: must be a list",
        "17: delivery.tls: must be 'verify', 'opportunistic' or 'off'",
        "18: delivery.roots: must be a path in quotes",
        "20: engines.rspamd: must be a table",
        "21: lgo: unknown key; did you mean log?",
        "22: xyzzy: unknown key",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1: node: is required"),
        ("[node]\nname = \n", "2: is not TOML: Invalid value"),
        ("[node]\nname = 1\n\n[node]\n", "4: is not TOML: Cannot declare ('node',) twice"),
        ("a = 1\na = 2\n", "2: is not TOML: Cannot overwrite a value"),
        ("a = [\n1,\n", "2: is not TOML: Invalid value"),
        ("x = " + "[" * 5000, "1: is nested too deeply"),
        (b"a = 1\nb = '\xff'\n", "2: is not UTF-8"),
        (b"\xff", "1: is not UTF-8"),
        ("node = 5", "1: node: must be a table"),
        ("[[node]]\n", "1: node: must be a table"),
        (f"{LEAST}[smtp]\nlisten = []\n", "5: smtp.listen: must have at least 1 item, not 0"),
        (f"{LEAST}[dns]\ntimeout = 0\n", "5: dns.timeout: must be greater than 0"),
        (f'{LEAST}\n\n["a b"]\n', "6: 'a b': unknown key"),
    ],
)
def test_one_mistake(write, text, expected):
    assert told(write(text))[0] == expected


def test_a_number_too_long_for_python_is_a_mistake_and_no_crash(write):
    assert told(write("x = " + "9" * 5000))[0].startswith("1: is not TOML: ")


def test_windows_line_ends_and_a_byte_order_mark_are_read(write):
    assert load(write(b"\xef\xbb\xbf" + LEAST.replace("\n", "\r\n").encode())).node.name == "mx1.relay.example"
    assert told(write(LEAST.replace("\n", "\r\n") + "[smtp]\r\nx=1\r\n")) == ["5: smtp.x: unknown key"]


def test_a_file_that_cannot_be_read_is_a_problem_without_a_line(tmp_path):
    assert told(tmp_path / "none.toml") == [" cannot be read: No such file or directory"]
    assert told(tmp_path) == [" cannot be read: Is a directory"]


ARC = '[arc]\ndomain = "sealer.example"\nselector = "2026"\nprivate_key = "arc.key"\n'


def test_sealing_is_off_without_its_table(write, tmp_path):
    assert load(write(LEAST)).arc is None
    arc = load(write(LEAST + ARC)).arc
    assert (arc.domain, arc.private_key, arc.authserv_id) == ("sealer.example", tmp_path / "arc.key", None)
    assert {"From", "Subject", "DKIM-Signature"} <= set(arc.signed)
    assert told(write(LEAST + "[arc]\n")) == [
        "4: arc.domain: is required", "4: arc.selector: is required", "4: arc.private_key: is required",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('signed = ["Subject"]', "8: arc.signed: must name From"),
        ('signed = ["From", "To", "from"]', "8: arc.signed: names a field twice"),
        ('signed = ["From", "A:b"]', "8: arc.signed: 'A:b' is no field name"),
        ('signed = ["From", "arc-seal"]', "8: arc.signed: must not name arc-seal, which changes on the way"),
        ('signed = ["From", "Received"]', "8: arc.signed: must not name Received, which changes on the way"),
        ('authserv_id = "a b"', "8: arc.authserv_id: must match pattern '^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$'"),
    ],
)
def test_what_cannot_be_sealed_with(write, line, expected):
    assert told(write(LEAST + ARC + line + "\n")) == [expected]


def test_values_are_never_repeated(write):
    file = write(LEAST + '[records]\nurl = ["hunter2hunter2"]\n[smtp]\nworkers = "hunter2hunter2"\nhunter = 1\n')
    assert "hunter2" not in "".join(told(file))


def test_the_right_tables_are_read_beside_the_wrong_ones(write, tmp_path):
    tables, problems = read_tables(read_toml(write(LEAST + '[smtp]\nx=1\n[delivery]\nroots="r"\n[engines.a]\nb=1\n')))
    assert len(problems) == 1
    assert "smtp" not in tables
    assert tables["delivery"].roots == tmp_path / "r"
    assert tables["engines"] == {"a": {"b": 1}}
    assert tables["http"] == Settings.model_fields["http"].default


STRICT = ConfigDict(extra="forbid")
Inner = create_model("Inner", __config__=STRICT, weight=(float, 0))
Outer = create_model(
    "Outer", __config__=STRICT, item=(tuple[Inner, ...], ()), maybe=(Inner | None, None), either=(int | bool, 0)
)


def test_other_models_are_explained_the_same_way(write):
    document = read_toml(write("either = 'x'\n[[item]]\n[[item]]\nweigth = 1\n[maybe]\nweihgt = 1\n"))
    with pytest.raises(ValueError) as caught:
        Outer.model_validate(document.data)
    assert [str(problem).partition(".toml:")[2] for problem in explain(caught.value, document, Outer)] == [
        "4: item[1].weigth: unknown key; did you mean weight?",
        "6: maybe.weihgt: unknown key; did you mean weight?",
        "1: either: must be a whole number",
        "1: either: must be true or false",
    ]


def test_keys_are_spelled_as_in_toml():
    assert spell(("tenant", 0, "domain", 1, "name")) == "tenant[0].domain[1].name"
    assert spell(("a b", "\x1b[31m")) == r"'a b'.'\x1b[31m'"
    assert spell(()) == ""


def test_the_shipped_examples_are_right():
    settings = load(SHIPPED / "example.toml")
    assert settings.node.state == Path("/var/lib/sluice")
    assert read_toml(SHIPPED / "tenants-example.toml").data["tenant"]
